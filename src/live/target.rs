//! Which server, as whom, under which names.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use redis::{
    ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::{self, Endpoint, RedisAddress};
use crate::reference::{Keys, Reference};

/// Where the copy is to be, as the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub address: RedisAddress,
    /// What the names of keys begin with.
    pub prefix: String,
    /// Titles are copied.
    pub titles: bool,
    user: String,
    password: Option<Reference>,
    tls: bool,
    ca: Option<String>,
    certificate: Option<(String, String)>,
}

impl Target {
    /// What the settings say; `None` when there is to be no copy.
    ///
    /// # Errors
    /// What does not go together.
    pub fn of(settings: &config::Redis) -> Result<Option<Target>, String> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let certificate = match (filled(&settings.tls_cert), filled(&settings.tls_key)) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err("redis.tls_cert and redis.tls_key go together".into()),
        };
        let address = RedisAddress::parse(&settings.url).map_err(|why| format!("redis.url {why}"))?;
        let password = filled(&settings.password).map(|text| Reference::parse(&text)).transpose();
        let password = password.map_err(|why| format!("redis.password {why}"))?;
        if password.is_none() && !settings.user.is_empty() {
            return Err("redis.user is set, but no redis.password".into());
        }
        let tls = settings.tls || matches!(address.at, Endpoint::Tcp { tls: true, .. });
        if tls && matches!(address.at, Endpoint::Unix(_)) {
            return Err("redis.tls is for addresses of a network, not for a socket of this machine".into());
        }
        Ok(Some(Target {
            address,
            prefix: settings.prefix.clone(),
            titles: settings.titles,
            user: settings.user.clone(),
            password,
            tls,
            ca: filled(&settings.tls_ca),
            certificate,
        }))
    }

    /// All that a connection needs, secrets too. Blocking: it reads files and may run the
    /// command that prints the password.
    ///
    /// # Errors
    /// What cannot be had, in words without a secret in them.
    pub(super) fn client(&self, keys: Keys<'_>) -> Result<redis::Client, String> {
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(self.address.database));
        if let Some(reference) = &self.password {
            let password = reference.resolve(keys).map_err(|why| format!("redis.password: {why}"))?;
            settings = settings.set_password(password);
            if !self.user.is_empty() {
                settings = settings.set_username(&self.user);
            }
        }
        let info = |addr: ConnectionAddr| -> Result<ConnectionInfo, String> {
            let info = addr.into_connection_info().map_err(|error| error.to_string())?;
            Ok(info.set_redis_settings(settings))
        };
        match &self.address.at {
            Endpoint::Unix(path) => redis::Client::open(info(ConnectionAddr::Unix(path.clone()))?),
            Endpoint::Tcp { host, port, .. } if !self.tls => {
                redis::Client::open(info(ConnectionAddr::Tcp(host.clone(), *port))?)
            }
            Endpoint::Tcp { host, port, .. } => {
                let addr =
                    ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None };
                redis::Client::build_with_tls(info(addr)?, self.certificates(keys)?)
            }
        }
        .map_err(|error| error.to_string())
    }

    /// Whether anybody listens there. Without a password nobody looks: to connect says it, too.
    ///
    /// # Errors
    /// The system's own; `TimedOut`.
    pub(super) async fn reach(&self, limit: Duration) -> io::Result<()> {
        if self.password.is_none() {
            return Ok(());
        }
        let connect = async {
            match &self.address.at {
                Endpoint::Unix(path) => UnixStream::connect(path).await.map(drop),
                Endpoint::Tcp { host, port, .. } => TcpStream::connect((host.as_str(), *port)).await.map(drop),
            }
        };
        timeout(limit, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn certificates(&self, keys: Keys<'_>) -> Result<TlsCertificates, String> {
        // Fails when it was done before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let read = |setting: &str, path: &str| {
            let path = match path.strip_prefix("~/").zip(keys("HOME")) {
                Some((rest, home)) => PathBuf::from(home).join(rest),
                None => PathBuf::from(path),
            };
            fs::read(&path).map_err(|error| format!("{setting}: {}: {error}", path.display()))
        };
        let client_tls = match &self.certificate {
            None => None,
            Some((certificate, key)) => Some(ClientTlsConfig {
                client_cert: read("redis.tls_cert", certificate)?,
                client_key: read("redis.tls_key", key)?,
            }),
        };
        let root_cert = self.ca.as_ref().map(|path| read("redis.tls_ca", path)).transpose()?;
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_together_is_refused() {
        let settings = |change: fn(&mut config::Redis)| {
            let mut settings = config::Redis { url: "redis://localhost".into(), ..config::Redis::default() };
            change(&mut settings);
            Target::of(&settings).map(|target| target.is_some())
        };
        assert_eq!(settings(|s| s.url.clear()), Ok(false));
        assert_eq!(settings(|_| {}), Ok(true));
        assert!(settings(|s| s.tls_key = "/key".into()).unwrap_err().contains("go together"));
        assert!(settings(|s| s.user = "me".into()).unwrap_err().contains("redis.password"));
        let on_socket = settings(|s| (s.url, s.tls) = ("unix:///run/redis.sock".into(), true));
        assert!(on_socket.unwrap_err().contains("redis.tls"));
    }
}
