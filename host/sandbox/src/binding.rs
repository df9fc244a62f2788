//! Where secrets may be sent.

use crate::grants::{GrantError, Origin, SecretGrant};

/// For each secret of an instance, in the order in which they were granted, the origins that it may be sent to.
#[derive(Debug, Default)]
pub(crate) struct Bindings(Vec<(String, Vec<Origin>)>);

impl Bindings {
    pub(crate) fn new(grants: &[SecretGrant]) -> Result<Self, GrantError> {
        let binding = |grant: &SecretGrant| {
            let to = grant.to.iter().map(|origin| Origin::parse(origin)).collect::<Result<_, _>>()?;
            Ok((grant.name.clone(), to))
        };
        grants.iter().map(binding).collect::<Result<_, _>>().map(Self)
    }

    /// The name of a secret, for people.
    pub(crate) fn name(&self, position: usize) -> &str {
        self.0.get(position).map_or("", |(name, _)| name)
    }

    /// Why a secret may not be sent to this origin, of so many that are granted; `None` if it may.
    pub(crate) fn refuses(&self, position: usize, origin: &Origin, origins_granted: usize) -> Option<String> {
        let Some((name, to)) = self.0.get(position) else { return Some("there is no such secret".to_owned()) };
        if to.contains(origin) {
            return None;
        }
        match (to.is_empty(), origins_granted) {
            (true, 1) if origin.is_private() => None,
            (true, 1) => Some(format!("{origin} is not behind TLS, and the secret {name} is not bound to it by `to`")),
            (true, _) => Some(format!(
                "the secret {name} is granted beside several origins, and none of them is bound to it by `to`"
            )),
            (false, _) => Some(format!("the secret {name} is bound to other origins than {origin}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(to: &[&str], origins_granted: usize, origin: &str, refused: Option<&str>) {
        let grant = SecretGrant {
            name: "TOKEN".to_owned(),
            value: None.into(),
            reveal: false,
            to: to.iter().map(|&origin| origin.to_owned()).collect(),
        };
        let bindings = Bindings::new(&[grant]).unwrap();
        let found = bindings.refuses(0, &Origin::parse(origin).unwrap(), origins_granted);
        match (&found, refused) {
            (None, None) => {}
            (Some(found), Some(refused)) if found.contains(refused) => {}
            _ => assert_eq!(found.as_deref(), refused, "{to:?} {origins_granted} {origin}"),
        }
    }

    #[test]
    fn a_secret_goes_where_it_is_bound_to() {
        let pay = "https://pay.example";
        check(&[], 1, pay, None);
        check(&[], 2, pay, Some("several origins"));
        check(&[], 0, pay, Some("several origins"));
        check(&[], 1, "http://pay.example", Some("not behind TLS"));
        check(&[], 1, "http://10.0.0.1", Some("not behind TLS"));
        check(&[], 1, "http://127.0.0.1:8080", None);
        check(&[], 1, "http://[::1]:8080", None);
        check(&[], 1, "http://localhost:8080", None);
        check(&[], 1, "http://localhost.example", Some("not behind TLS"));
        check(&[pay], 1, pay, None);
        check(&[pay], 2, pay, None);
        check(&[pay], 1, "https://other.example", Some("other origins"));
        check(&[pay], 2, "https://pay.example:8443", Some("other origins"));
        check(&[pay], 2, "http://pay.example", Some("other origins"));
        // Said on purpose.
        check(&["http://pay.example"], 1, "http://pay.example", None);
    }
}
