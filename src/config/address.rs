//! Addresses that settings say: where a Redis server is, and where figures are served.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The port of a Redis server where none is said.
const PORT: u16 = 6379;

/// The address of a Redis server, without anything that has to be kept secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// How it is reached.
    pub at: Endpoint,
    /// Which of its numbered databases.
    pub database: u32,
}

/// How a Redis server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// By a socket of this machine.
    Unix(PathBuf),
    /// By the network.
    Tcp {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
        /// With TLS, whatever the setting `redis.tls` says.
        tls: bool,
    },
}

impl RedisAddress {
    /// Reads `redis://HOST[:PORT][/DATABASE]`, `rediss://…` for TLS, `redis+unix:///PATH[?db=DATABASE]`
    /// or the same with `unix`.
    ///
    /// # Errors
    /// What is wrong with it, in words without its text: it may hold a password by mistake.
    pub fn parse(text: &str) -> Result<RedisAddress, String> {
        let (scheme, rest) = text.split_once("://").ok_or(
            "is no address of a Redis server: write redis://HOST:PORT, rediss://HOST:PORT or redis+unix:///PATH",
        )?;
        match scheme {
            "unix" | "redis+unix" => unix(rest),
            "redis" => tcp(rest, false),
            "rediss" => tcp(rest, true),
            _ => Err("begins with none of redis://, rediss://, redis+unix:// and unix://".into()),
        }
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Endpoint::Unix(path) => write!(f, "redis+unix://{}", path.display())?,
            Endpoint::Tcp { host, port, tls } => {
                let (scheme, host) = (if *tls { "rediss" } else { "redis" }, bracketed(host));
                write!(f, "{scheme}://{host}:{port}")?;
            }
        }
        match (&self.at, self.database) {
            (_, 0) => Ok(()),
            (Endpoint::Unix(_), database) => write!(f, "?db={database}"),
            (Endpoint::Tcp { .. }, database) => write!(f, "/{database}"),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn unix(rest: &str) -> Result<RedisAddress, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') {
        return Err("names no absolute path after ://, as redis+unix:///run/user/1000/redis.sock does".into());
    }
    let database = match query.strip_prefix("db=") {
        Some(number) => database(number)?,
        None if query.is_empty() => 0,
        None => return Err("has something else than ?db=NUMBER behind the path".into()),
    };
    Ok(RedisAddress { at: Endpoint::Unix(path.into()), database })
}

fn tcp(rest: &str, tls: bool) -> Result<RedisAddress, String> {
    let (place, number) = rest.split_once('/').unwrap_or((rest, ""));
    if place.contains('@') {
        return Err("holds a user or a password: those are the settings redis.user and redis.password".into());
    }
    let wrong_port = || "has a port that is none".to_owned();
    let (host, port) = match place.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']').ok_or("has a '[' without its ']'")?;
            let port = match after {
                "" => PORT,
                after => after.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(wrong_port)?,
            };
            (host, port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong_port())?),
            None => (place, PORT),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "?#%".contains(c)) {
        return Err("names no host".into());
    }
    let database = if number.is_empty() { 0 } else { database(number)? };
    Ok(RedisAddress { at: Endpoint::Tcp { host: host.to_owned(), port, tls }, database })
}

fn database(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "has a database that is no number".to_owned())
}

/// Where figures are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A loopback address: nobody from outside.
    Tcp(SocketAddr),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl MetricsAddress {
    /// Reads `127.0.0.1:PORT`, `[::1]:PORT`, `localhost:PORT` or `unix:/PATH`; nothing is
    /// nowhere.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Option<MetricsAddress>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Some(MetricsAddress::Unix(path.into()))),
                false => Err(format!("'{path}' is not an absolute path")),
            };
        }
        let numbers = text.replacen("localhost:", "127.0.0.1:", 1);
        match numbers.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Some(MetricsAddress::Tcp(address))),
            Ok(_) => Err(format!("{text} can be reached from outside: only a loopback address is served")),
            Err(_) => Err(format!("'{text}' is neither 127.0.0.1:PORT nor unix:/PATH")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_again() {
        for (text, again) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("redis://127.0.0.1:7000/3", "redis://127.0.0.1:7000/3"),
            ("rediss://cache.example.org:6380", "rediss://cache.example.org:6380"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("unix:///run/redis.sock", "redis+unix:///run/redis.sock"),
            ("redis+unix:///run/redis.sock?db=2", "redis+unix:///run/redis.sock?db=2"),
        ] {
            assert_eq!(RedisAddress::parse(text).unwrap().to_string(), again);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_text() {
        for (text, why) in [
            ("localhost:6379", "is no address"),
            ("http://localhost", "begins with none"),
            ("redis://me:hunter2@localhost", "redis.password"),
            ("redis://hunter2@localhost", "redis.password"),
            ("redis://localhost:hunter2", "port"),
            ("redis://[::1", "']'"),
            ("redis://[::1]x", "port"),
            ("redis://", "no host"),
            ("redis://a b", "no host"),
            ("redis://localhost/hunter2", "database"),
            ("unix://run/hunter2", "absolute"),
            ("unix:///run/redis.sock?pass=hunter2", "?db="),
        ] {
            let said = RedisAddress::parse(text).unwrap_err();
            assert!(said.contains(why) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
