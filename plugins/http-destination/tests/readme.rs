//! The README is true: its examples are settings that the plugin takes, and it names every setting there is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::testing;
use http_destination::{HttpDestination, Settings};

fn readme() -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn examples_are_settings_that_the_plugin_takes() {
    testing::secret("ERP_TOKEN", "s3cret");
    testing::secret("SHOP_TOKEN", "s3cret");
    let mut ran = 0;
    for block in readme().split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()) {
        let table: toml::Table = toml::from_str(&block).unwrap();
        let handler = table.get("step").and_then(|step| step.get("on_failure"));
        let step = handler.or_else(|| table.get("step").and_then(|steps| steps.get(0)));
        let settings = match step.and_then(|step| step.get("settings")) {
            Some(settings) => settings.as_table().unwrap().clone(),
            None => {
                let mut part = table;
                part.insert("base".to_owned(), "https://erp.example.com".into());
                part
            }
        };
        let made = testing::destination::<HttpDestination>(serde_json::to_string(&settings).unwrap());
        assert!(made.is_ok(), "{block}\n{}", made.unwrap_err());
        ran += 1;
    }
    assert_eq!(ran, 3);
}

#[test]
fn every_setting_is_named_and_none_can_be_misspelt() {
    let (schema, readme) = (testing::schema::<Settings>(), readme());
    let words: Vec<&str> = readme.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let mut names = 0;
    let mut check = |title: &str, object: &serde_json::Value| {
        assert_eq!(object["additionalProperties"], false, "{title}");
        for name in object["properties"].as_object().unwrap().keys() {
            assert!(words.contains(&name.as_str()), "README does not name `{name}` of {title}");
            names += 1;
        }
    };
    check("the settings", &schema);
    for (title, definition) in schema["$defs"].as_object().unwrap() {
        if definition.get("properties").is_some() {
            check(title, definition);
        }
    }
    assert!(names > 30, "only {names} settings were found");
}
