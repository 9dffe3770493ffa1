//! The settings as a JSON Schema, for editors that complete and check a file while it is
//! written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Config, DOCUMENTED, SETTINGS};

/// The schema, with the reason of each setting as its description.
pub fn schema() -> Value {
    let reasons = reasons();
    let defaults = Config::default().values();
    let mut groups: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut providers = Map::new();
    for setting in &SETTINGS {
        let mut schema = setting.schema();
        let key = setting.key.replace(".*.", ".claude.");
        if let Some(reason) = reasons.get(&key) {
            schema["description"] = json!(reason);
        }
        if let Some(default) = defaults.get(setting.key) {
            schema["default"] = json!(default);
        }
        match setting.key.split('.').collect::<Vec<_>>().as_slice() {
            [group, name] => drop(groups.entry(group).or_default().insert((*name).to_owned(), schema)),
            [.., name] => drop(providers.insert((*name).to_owned(), schema)),
            [] => {}
        }
    }
    let object = |properties: Map<String, Value>| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let mut all: Map<String, Value> =
        groups.into_iter().map(|(name, group)| (name.to_owned(), object(group))).collect();
    all.insert("providers".into(), json!({ "type": "object", "additionalProperties": object(providers) }));
    let mut root = object(all);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("autodev: config.toml");
    root
}

/// What the documented file says above each setting.
fn reasons() -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    let (mut group, mut said) = (String::new(), Vec::new());
    for line in DOCUMENTED.lines() {
        // Limits of providers are shown, and not set.
        let words = line.trim_start_matches("# ");
        if let Some(name) = words.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (group, said) = (format!("{name}."), Vec::new());
        } else if let Some((name, _)) = words.split_once(" = ").filter(|(name, _)| !name.contains(' ')) {
            reasons.insert(format!("{group}{name}"), std::mem::take(&mut said).join(" "));
        } else if let Some(text) = line.strip_prefix("# ") {
            said.push(text);
        } else {
            said.clear();
        }
    }
    reasons
}

/// The documented file with every setting commented out: to begin one's own with.
pub fn template() -> String {
    let mut text = String::new();
    for line in DOCUMENTED.lines() {
        let is_setting = !line.starts_with(['#', '[']) && line.contains(" = ");
        text.push_str(if is_setting { "# " } else { "" });
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_reason_a_type_and_a_default() {
        let schema = schema();
        for setting in &SETTINGS {
            let found = match setting.key.split('.').collect::<Vec<_>>().as_slice() {
                [group, name] => &schema["properties"][group]["properties"][name],
                [group, .., name] => &schema["properties"][group]["additionalProperties"]["properties"][name],
                [] | [_] => unreachable!(),
            };
            assert!(found["description"].as_str().is_some_and(|text| text.len() > 10), "{}: {found}", setting.key);
            assert!(found["type"].is_string() || found["anyOf"].is_array() || found["enum"].is_array(), "{found}");
            assert!(setting.key.contains('*') || !found["default"].is_null(), "{}", setting.key);
        }
    }
}
