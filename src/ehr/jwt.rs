//! Signed assertions for SMART Backend Services: RS384 or ES384, at most five minutes long, each with its own `jti`
//! (<https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html>).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA384, RsaKeyPair},
};
use serde_json::json;

/// How long an assertion lives, in seconds; the specification allows 300.
const LIFETIME_S: i64 = 240;

/// A private key that can sign assertions.
pub enum Signer {
    /// RSA, at least 2048 bits.
    Rs384(RsaKeyPair),
    /// NIST P-384.
    Es384(EcdsaKeyPair),
}

impl Signer {
    /// Reads a PEM file's text: PKCS#8 (RSA or P-384) or PKCS#1 (RSA).
    ///
    /// # Errors
    /// A sentence that names what is wrong and nothing of the key.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let begin = "-----BEGIN ";
        let start = text.find(begin).ok_or("the key file is not PEM")? + begin.len();
        let (label, rest) = text[start..].split_once("-----").ok_or("the key file is not PEM")?;
        let (encoded, _) = rest.split_once("-----END ").ok_or("the key file is not PEM")?;
        let encoded: String = encoded.split_whitespace().collect();
        let der = STANDARD.decode(encoded).map_err(|_| "the key file is not PEM")?;
        match label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der)
                .map(Self::Rs384)
                .or_else(|_| {
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der, &SystemRandom::new())
                        .map(Self::Es384)
                })
                .map_err(|_| "the key is neither RSA (2048 bits or more) nor P-384".to_owned()),
            "RSA PRIVATE KEY" => {
                RsaKeyPair::from_der(&der).map(Self::Rs384).map_err(|_| "the RSA key cannot be used".to_owned())
            }
            _ => Err("the key must be PKCS#8 (BEGIN PRIVATE KEY) and not encrypted".to_owned()),
        }
    }

    /// A signed assertion of `client` for the token endpoint `audience`.
    ///
    /// # Errors
    /// A sentence, where signing fails.
    pub fn assertion(
        &self,
        client: &str,
        key_id: Option<&str>,
        audience: &str,
        now: Timestamp,
        jti: &str,
    ) -> Result<String, String> {
        let algorithm = match self {
            Self::Rs384(_) => "RS384",
            Self::Es384(_) => "ES384",
        };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(key_id) = key_id {
            header["kid"] = json!(key_id);
        }
        let issued = now.as_second();
        let claims = json!({
            "iss": client, "sub": client, "aud": audience, "iat": issued, "exp": issued + LIFETIME_S, "jti": jti,
        });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.sign(signed.as_bytes()).map_err(|_| "the assertion cannot be signed")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Rs384(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA384, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::Es384(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P384_SHA384_FIXED, KeyPair, RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey};

    /// Made for this test with `openssl genpkey`; known to nobody else's system.
    const RSA: &str = include_str!("test-rsa-key.pem");

    #[test]
    fn an_rs384_assertion_verifies_and_names_its_algorithm() {
        let signer = Signer::from_pem(RSA).expect("readable");
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let token = signer.assertion("us", Some("k2"), "https://ehr/token", now, "j2").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let Signer::Rs384(pair) = &signer else { panic!("RSA") };
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA384, pair.public().as_ref());
        public.verify(signed.as_bytes(), &signature).expect("verifies");
        assert!(public.verify(b"something else", &signature).is_err());
        let part = |at: usize| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(at).unwrap()).unwrap()).unwrap()
        };
        assert_eq!(part(0), json!({"alg": "RS384", "typ": "JWT", "kid": "k2"}));
        assert_eq!((&part(1)["sub"], &part(1)["jti"]), (&json!("us"), &json!("j2")));
        // PKCS#1, as older tools write it: the key inside PKCS#8 begins behind its header.
        let der = STANDARD.decode(RSA.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
        let pem = format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
            STANDARD.encode(&der[26..])
        );
        assert!(matches!(Signer::from_pem(&pem), Ok(Signer::Rs384(_))));
    }

    #[test]
    fn an_es384_assertion_verifies_and_is_short_lived() {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8));
        let signer = Signer::from_pem(&pem).expect("readable");
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let token = signer.assertion("us", Some("k1"), "https://ehr/token", now, "j1").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let Signer::Es384(pair) = &signer else { panic!("P-384") };
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref())
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .expect("verifies");
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert_eq!(claims["aud"], "https://ehr/token");
        assert!(claims["exp"].as_i64().unwrap() - now.as_second() <= 300);
        assert!(Signer::from_pem("hello").is_err());
        assert!(Signer::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is_err());
    }
}
