//! Private keys behind a password, as cosign writes them: PKCS #8 in NaCl's secretbox, under a key
//! that scrypt makes of the password.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use serde::Deserialize;
use zeroize::Zeroizing;

/// What a key may ask of this machine to be opened, in bytes: eight times what cosign's do.
const MEMORY_BYTES: u64 = 512 << 20;

#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Opens a key, or says why it cannot be opened.
pub(super) fn open(json: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    const MALFORMED: &str = "what protects it is malformed";
    let sealed: Sealed = serde_json::from_slice(json).map_err(|_| MALFORMED)?;
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err("it is not protected by scrypt and secretbox");
    }
    let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| MALFORMED);
    let Params { n, r, p } = sealed.kdf.params;
    let memory = n.checked_mul(128 * u64::from(r)).filter(|bytes| *bytes <= MEMORY_BYTES);
    if memory.is_none() || p > 16 || !n.is_power_of_two() {
        return Err("its password is hashed in a way that takes too much");
    }
    let log = u8::try_from(n.ilog2()).map_err(|_| MALFORMED)?;
    let params = scrypt::Params::new(log, r, p).map_err(|_| MALFORMED)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.as_bytes(), &decode(&sealed.kdf.salt)?, &params, &mut key[..])
        .map_err(|_| MALFORMED)?;
    let nonce: [u8; 24] = decode(&sealed.cipher.nonce)?.try_into().map_err(|_| MALFORMED)?;
    let plain = XSalsa20Poly1305::new((&*key).into())
        .decrypt(&nonce.into(), decode(&sealed.ciphertext)?.as_slice());
    plain.map(Zeroizing::new).map_err(|_| "the password is not the right one")
}
