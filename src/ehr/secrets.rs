//! The secrets by which an EHR knows us: read from a file or the environment each time they are needed, never shown, and
//! looked at when the gateway starts, so that a wrong one is told before anything waits for it.

use std::{fs, io, path::Path};

use reqwest::header::HeaderValue;

use super::{
    config::{AuthConfig, SystemConfig},
    failure::{Failure, Kind},
    jwt::Signer,
};

/// No secret is longer; whatever is, is another file.
const LONGEST: u64 = 1 << 20;

/// Whether a system's secrets are there and can be used, as far as that can be told without asking the EHR. Reads small
/// files: to be called when starting, or where it may block.
///
/// # Errors
/// [`Kind::Credentials`] with the file or variable and what is wrong with it.
pub fn check_secrets(config: &SystemConfig) -> Result<(), Failure> {
    match &config.auth {
        AuthConfig::None => Ok(()),
        AuthConfig::Basic { password_file: file, password_env: variable, .. }
        | AuthConfig::Bearer { token_file: file, token_env: variable }
        | AuthConfig::ClientCredentials { secret_file: file, secret_env: variable, .. } => {
            let secret = secret(file.as_deref(), variable.as_deref())?;
            sensitive(&secret).map(drop)
        }
        AuthConfig::SmartBackend { key_file, .. } => signer(key_file).map(drop),
    }
}

/// A secret without the line's end that editors leave.
pub(super) fn secret(file: Option<&Path>, variable: Option<&str>) -> Result<String, Failure> {
    let (text, place) = match (file, variable) {
        (Some(file), None) => (read(file)?, format!("the file {}", file.display())),
        (None, Some(name)) => {
            let value = std::env::var(name);
            (value.map_err(|_| unusable(&format!("the variable {name} is not set")))?, format!("the variable {name}"))
        }
        (None, None) => return Err(unusable("no file and no environment variable is named for the secret")),
        (Some(_), Some(_)) => return Err(unusable("name either a file or an environment variable, not both")),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(unusable(&format!("{place} is empty"))) } else { Ok(text.to_owned()) }
}

/// The key that signs our assertions.
pub(super) fn signer(file: &Path) -> Result<Signer, Failure> {
    Signer::from_pem(&read(file)?).map_err(|why| unusable(&format!("{why} ({})", file.display())))
}

fn read(file: &Path) -> Result<String, Failure> {
    let wrong = |why: &str| unusable(&format!("the file {} {why}", file.display()));
    let of = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => wrong("is not there"),
        io::ErrorKind::PermissionDenied => wrong("may not be read by this user"),
        io::ErrorKind::InvalidData => wrong("is no text"),
        _ => wrong("cannot be read"),
    };
    let kind = fs::metadata(file).map_err(of)?;
    // A pipe would be waited for without end.
    if !kind.is_file() || kind.len() > LONGEST {
        return Err(wrong("is no file with a secret in it"));
    }
    fs::read_to_string(file).map_err(of)
}

pub(super) fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| unusable("a secret holds characters that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn unusable(why: &str) -> Failure {
    Failure::new(Kind::Credentials, format!("Our credentials for the EHR cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let check = |auth: String| {
            let text = format!("name = \"x\"\nbase_url = \"https://ehr.example.com/fhir\"\n[auth]\n{auth}");
            check_secrets(&toml::from_str(&text).unwrap()).map_err(|failure| {
                assert_eq!(failure.kind, Kind::Credentials);
                assert!(!failure.message.contains("s3cret"));
                failure.message
            })
        };
        let bearer = |path: &str| check(format!("kind = \"bearer\"\ntoken_file = {path:?}"));
        assert_eq!(bearer(&place("good", b"s3cret\n")), Ok(()));
        let folder_itself = folder.path().display().to_string();
        for (path, why) in [
            (place("empty", b"\r\n"), "is empty"),
            (place("binary", b"\xff\xfe"), "is no text"),
            (place("two", b"s3cret\nmore"), "cannot be sent"),
            (format!("{folder_itself}/missing"), "is not there"),
            (folder_itself.clone(), "no file with a secret"),
        ] {
            let said = bearer(&path).unwrap_err();
            assert!(said.contains(why) && (said.contains(&path) || why == "cannot be sent"), "{said}");
        }
        let said = check("kind = \"basic\"\nusername = \"u\"\npassword_env = \"LIAISON_NO_SUCH_VARIABLE\"".to_owned());
        assert!(said.unwrap_err().contains("LIAISON_NO_SUCH_VARIABLE is not set"));
        assert!(check("kind = \"basic\"\nusername = \"u\"".to_owned()).unwrap_err().contains("no file"));
        let key = place("key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
        let said = check(format!("kind = \"smart-backend\"\nclient_id = \"us\"\nkey_file = {key:?}")).unwrap_err();
        assert!(said.contains(&key) && said.contains("not encrypted"), "{said}");
        assert_eq!(check("kind = \"none\"".to_owned()), Ok(()));
    }
}
