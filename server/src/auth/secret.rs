//! The secret that signs tokens: where it comes from and how it is kept.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use unisono::Environment;
use unisono::model::value::hex;

/// A shorter secret could be guessed from one token (RFC 7518 §3.2 asks for the hash's size).
const MIN_BYTES: usize = 32;
/// The name of the secret of `--dev` in the data directory.
const DEV_FILE: &str = "dev-jwt-secret";

/// A secret of at least 32 bytes. Its `Debug` form is redacted, its memory cleared on drop.
#[derive(Clone, Debug)]
pub struct JwtSecret(SecretString);

/// Why there is no usable secret. The messages say what to do and hold nothing of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is too short to be one.
    #[error("the JWT secret has {0} bytes; it needs at least 32. Make one with: openssl rand -hex 32")]
    TooShort(usize),
    /// Its file cannot be read.
    #[error("the JWT secret file {0} cannot be read ({1}). Check the path and that this user may read it")]
    Unreadable(PathBuf, io::Error),
    /// The development secret cannot be kept.
    #[error("the development secret {0} cannot be written ({1}). Check that this user may write to the data directory")]
    Unwritable(PathBuf, io::Error),
    /// There is no development secret in the directory.
    #[error("{0} holds no development secret; `unisono-server serve --dev --data {0}` makes one")]
    NoDevelopmentSecret(PathBuf),
}

impl JwtSecret {
    /// Takes the text's bytes as they are, but for one line feed at the end.
    ///
    /// # Errors
    /// If it has fewer than 32 bytes.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.len() < MIN_BYTES {
            return Err(SecretError::TooShort(text.len()));
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// If the file cannot be read or the secret is too short.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = fs::read_to_string(path).map_err(|error| SecretError::Unreadable(path.to_owned(), error))?;
        Self::new(&text)
    }

    /// Reads the development secret that a data directory holds.
    ///
    /// # Errors
    /// If there is none.
    pub fn development(data: &Path) -> Result<Self, SecretError> {
        let path = data.join(DEV_FILE);
        match fs::exists(&path) {
            Ok(false) => Err(SecretError::NoDevelopmentSecret(data.to_owned())),
            Ok(true) | Err(_) => Self::read(&path),
        }
    }

    /// The development secret of a data directory, made and kept (readable by this user only) if there is none.
    ///
    /// # Errors
    /// If it can be neither read nor written.
    pub fn development_or_new(data: &Path, environment: &dyn Environment) -> Result<Self, SecretError> {
        let path = data.join(DEV_FILE);
        let mut random = [0; MIN_BYTES];
        environment.random(&mut random);
        let text = hex(&random);
        match create_private(&path, text.as_bytes()) {
            Ok(()) => Self::new(&text),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(&path),
            Err(error) => Err(SecretError::Unwritable(path, error)),
        }
    }

    /// The bytes that sign.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Writes a new file that only this user may read.
fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unisono::TokioEnvironment;

    #[test]
    fn a_secret_has_at_least_32_bytes_and_loses_only_its_line_end() {
        let text = "0123456789abcdef0123456789abcdef";
        for variant in [text.to_owned(), format!("{text}\n"), format!("{text}\r\n")] {
            assert_eq!(JwtSecret::new(&variant).unwrap().bytes(), text.as_bytes());
        }
        assert_eq!(JwtSecret::new(&format!("{text} ")).unwrap().bytes().len(), 33);
        for short in ["", "secret", &text[1..], &format!("{}\n", &text[1..])] {
            let error = JwtSecret::new(short).unwrap_err().to_string();
            assert!(error.contains("openssl rand -hex 32"), "{error}");
        }
    }

    #[test]
    fn the_development_secret_is_made_once_and_kept_private() {
        let data = tempfile::tempdir().unwrap();
        assert!(JwtSecret::development(data.path()).unwrap_err().to_string().contains("--dev"));
        let made = JwtSecret::development_or_new(data.path(), &TokioEnvironment).unwrap();
        let again = JwtSecret::development_or_new(data.path(), &TokioEnvironment).unwrap();
        let read = JwtSecret::development(data.path()).unwrap();
        assert_eq!((made.bytes(), made.bytes()), (again.bytes(), read.bytes()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(data.path().join(DEV_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn i15_a_secret_does_not_show() {
        let secret = JwtSecret::new("canary-canary-canary-canary-canary").unwrap();
        assert!(!format!("{secret:?}").contains("canary"));
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error = JwtSecret::read(Path::new("no/such/secret")).unwrap_err().to_string();
        assert!(error.contains("no/such/secret"), "{error}");
    }
}
