//! One place for everything that can be set: each key is written once, with its type and what it does; file,
//! environment, flags, help and the printed default follow from it. A default stands beside the type it belongs
//! to, and is printed from there.
//!
//! Precedence: flag, environment, file, default. The file is strict: a key nobody knows is an error.

mod parts;
mod print;
mod settings;
mod source;
mod value;

pub(crate) use self::source::is_exposed;
pub use self::{
    print::{checked, default_toml},
    settings::{ADMIN_ADDR, KEYS, LISTEN_ADDR, Settings},
    source::{ConfigError, Key, Origin, Values},
    value::Bytes,
};

/// Makes the table of keys and the struct of their values.
///
/// `secret` marks what is never shown and may come from a file. Environment names after the first are
/// older ones that still work.
macro_rules! keys {
    ($(
        $(#[doc = $help:literal])+
        $field:ident: $type:ty = $default:expr, $path:literal, [$($env:literal),+] $(, $secret:ident)?;
    )+) => {
        /// All settings, as their types.
        #[derive(Clone)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each field's help text is in the table of keys")]
        pub struct Settings {
            $(pub $field: $type,)+
        }

        /// Every key there is.
        pub static KEYS: &[Key] = &[$(Key {
            path: $path,
            env: &[$($env),+],
            default: || <$type as Setting>::write(&$default),
            help: &[$($help),+],
            secret: keys!(@secret $($secret)?),
            form: <$type as Setting>::FORM,
        }),+];

        impl Settings {
            /// Reads every key as its type.
            ///
            /// # Errors
            ///
            /// [`ConfigError::Value`], naming the first key whose value is of no use.
            pub fn read(values: &Values) -> Result<Self, ConfigError> {
                let mut keys = KEYS.iter();
                $(
                    // The table and the struct come from the same list, in the same order.
                    let $field = match keys.next() {
                        Some(key) => values.read(key)?,
                        None => unreachable!("one key per field"),
                    };
                )+
                Ok(Self { $($field),+ })
            }
        }
    };
    (@secret secret) => { true };
    (@secret) => { false };
}
pub(crate) use keys;
