//! The README is true: its example is settings that the plugin takes, and it names every setting there is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::testing;
use http_source::{HttpSource, Settings};

fn readme() -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_example_and_each_way_to_the_next_page_are_settings_that_the_plugin_takes() {
    testing::secret("SHOP_TOKEN", "s3cret");
    let readme = readme();
    let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let table: toml::Table = toml::from_str(block).unwrap();
    let settings = table["source"]["settings"].as_table().unwrap();
    let section = readme.split("\n### Pages\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split("` |").next());
    let ways: Vec<&str> = cells.filter(|cell| *cell != "next").collect();
    assert_eq!(ways.len(), 6, "{ways:?}");
    for way in ways {
        let mut settings = settings.clone();
        let next: toml::Table = toml::from_str(&format!("next = {way}")).unwrap();
        settings.extend(next);
        let made = testing::source::<HttpSource>(serde_json::to_string(&settings).unwrap());
        assert!(made.is_ok(), "{way}\n{}", made.unwrap_err());
    }
}

#[test]
fn every_setting_is_named_and_none_can_be_misspelt() {
    let (schema, readme) = (testing::schema::<Settings>(), readme());
    let words: Vec<&str> = readme.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    assert_eq!(schema["additionalProperties"], false);
    let mut names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let size = schema["$defs"]["PageSize"].as_object().unwrap();
    assert_eq!(size["additionalProperties"], false);
    names.extend(size["properties"].as_object().unwrap().keys());
    for name in &names {
        assert!(words.contains(&name.as_str()), "README does not name `{name}`");
    }
    assert!(names.len() > 12, "only {} settings were found", names.len());
}
