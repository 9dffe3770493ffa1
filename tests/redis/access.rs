//! Who may reach the server, and with what.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::common::Instance;
use crate::server::Server;
use crate::{configured, right, until};

/// The user that config/redis.conf suggests.
fn suggested(user: &str) -> Vec<String> {
    let config = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/redis.conf")).unwrap();
    let line = config.lines().find_map(|line| line.strip_prefix(&format!("#   user {user} "))).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

fn set_user(server: &Server, name: &str) {
    let rules = suggested(name);
    let words: Vec<&str> = ["ACL", "SETUSER", name].into_iter().chain(rules.iter().map(String::as_str)).collect();
    let () = server.ask(&words);
}

#[test]
fn the_suggested_user_can_do_all_that_is_needed() {
    let Some(server) = Server::start(&[]) else { return };
    set_user(&server, "autodev");
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "THE-PASSWORD\n").unwrap();
    let reference = format!("user = \"autodev\"\npassword = \"file:{}\"\n", secret.path().display());
    let instance = configured(&server, &reference);
    instance.submit(&["--wait"], "true");
    right(&instance);
    let () = server.ask(&["FLUSHALL"]);
    instance.submit(&["--hold"], "true");
    right(&instance);
    instance.ok(&["redis", "rebuild"]);
    let users: String = server.ask(&["CLIENT", "LIST"]);
    assert!(users.contains("user=autodev"), "{users}");
    assert!(!instance.log().contains("THE-PASSWORD"));
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = Server::start(&[]) else { return };
    set_user(&server, "autodev");
    let instance = configured(&server, "user = \"autodev\"\npassword = \"cmd:echo not-the-password\"\n");
    let task = instance.submit(&[], "true");
    assert_eq!(instance.wait(task), "passed");
    let error = until(&instance, |view| {
        view["error"].as_str().filter(|e| e.contains("authentication failed")).map(str::to_owned)
    });
    assert!(!error.contains("not-the-password") && !instance.log().contains("not-the-password"), "{error}");
    // One that cannot be had says where it was looked for.
    instance.ok(&["config", "set", "redis.password", "env:NOT_THERE"]);
    until(&instance, |view| view["error"].as_str().filter(|e| e.contains("NOT_THERE")).map(drop));
    instance.ok(&["config", "set", "redis.password", "cmd:echo THE-PASSWORD"]);
    right(&instance);
}

#[test]
fn secrets_do_not_belong_into_the_settings() {
    let instance = Instance::new();
    for (key, value) in [("redis.password", "hunter2"), ("redis.url", "redis://me:hunter2@localhost")] {
        let said = instance.fails(2, &["config", "set", key, value]);
        assert!(!said.contains("hunter2") && said.contains(key), "{said}");
        let file = instance.home().join("config/config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("[redis]\n{} = \"{value}\"\n", key.trim_start_matches("redis."))).unwrap();
        let said = instance.run(&["config", "check"]);
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(!said.contains("hunter2") && said.contains("config.toml:2:"), "{said}");
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn by_tls_with_certificates_of_both_sides() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Without names of their own they would pass for one another's issuers.
    params.distinguished_name.push(DnType::CommonName, "the tests' authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(file("ca.crt"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &ca).unwrap();
        fs::write(file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    // Free now, and taken by nobody in the moment until the server has it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let path = |name: &str| file(name).display().to_string();
    let (certificate, key, issuer) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let words =
        ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &issuer];
    let Some(server) = Server::start(&words) else { return };
    let settings = |more: &str| {
        let instance = Instance::configured(&format!("[redis]\nurl = \"rediss://localhost:{port}\"\n{more}"));
        instance.submit(&["--hold"], "true");
        instance
    };
    let ours = format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", path("client.crt"), path("client.key"));
    let good = settings(&format!("tls_ca = \"{issuer}\"\n{ours}"));
    right(&good);
    // A server that nobody vouches for gets nothing.
    let bad = settings(&ours);
    until(&bad, |view| (view["state"] == "down" && view["error"] != "not connected yet").then_some(()));
    drop(server);
}
