use super::{json, script};
use crate::common::Instance;

#[test]
fn what_is_installed_is_found_on_this_path() {
    let instance = Instance::new();
    assert_eq!(instance.ok(&["providers", "-q"]), "claude\ncodex\ngemini\ncursor\nopencode\nshell\n");
    let path = script(&instance, "gemini", "echo 1.2.3");
    let views = json(&instance.autodev(&["providers", "--json"]).env("PATH", &path).output().unwrap());
    let gemini = views.as_array().unwrap().iter().find(|p| p["name"] == "gemini").unwrap();
    assert_eq!((gemini["installed"].as_bool(), gemini["version"].as_str()), (Some(true), Some("1.2.3")));
    assert!(gemini["path"].as_str().unwrap().ends_with("bin/gemini"));
    let claude = &views[0];
    assert_eq!((claude["installed"].as_bool(), claude["version"].is_null()), (Some(false), true));
    assert!(claude["install"].as_str().unwrap().contains("npm install"));
    let text = instance.ok(&["providers"]);
    assert!(text.lines().count() == 6 && text.contains("shell\tyes"), "{text}");
    assert!(!instance.state().exists(), "no daemon is needed for it");
}
