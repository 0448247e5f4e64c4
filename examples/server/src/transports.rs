//! The transports that this server mounts: the one list, and all that depends on it.

use clap::Args;
use serde::Deserialize;
use tidings::HostBuilder;

/// Makes [`Transports`] of the list: for each transport that is built, a section of the config under its name, and its
/// place in the host. One whose section is an `Option` is mounted where it is configured.
macro_rules! transports {
    ($($(#[$built:meta])* $name:literal $module:ident: $Section:ty => $Transport:path;)*) => {
        /// The knobs of each transport, by its name. A transport that is not built has none.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Transports {$(
            $(#[$built])*
            #[doc = concat!("The knobs of `", $name, "`.")]
            #[serde(rename = $name)]
            pub $module: $Section,
        )*}

        impl Transports {
            /// Mounts them all, in the order of the list.
            pub fn mount(self, host: HostBuilder) -> HostBuilder {
                $($(#[$built])* let host = match Option::from(self.$module) {
                    Some(config) => host.mount(<$Transport>::new(config)),
                    None => host,
                };)*
                host
            }
        }
    };
}

transports! {
    #[cfg(feature = "short-poll")] "short-poll" short_poll: tidings::short_poll::Config => tidings::short_poll::ShortPoll;
    #[cfg(feature = "long-poll")] "long-poll" long_poll: tidings::long_poll::Config => tidings::long_poll::LongPoll;
    #[cfg(feature = "sse")] "sse" sse: tidings::sse::Config => tidings::sse::Sse;
    #[cfg(feature = "amqp")] "amqp" amqp: Option<tidings::amqp::Config> => tidings::amqp::Amqp;
}

/// The command line's part in it.
#[derive(Clone, Args)]
pub struct Flags {
    /// The broker to tell events to and to take submissions from, as amqp://user:password@host:port/vhost
    #[cfg(feature = "amqp")]
    #[arg(long, value_name = "URL", env = "TIDINGS_AMQP_URL", hide_env_values = true)]
    pub amqp_url: Option<String>,
}

/// Shows no URL, as that may hold a password.
impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}

impl Transports {
    /// The same with what the command line says, which goes before the config file.
    #[must_use]
    pub fn with_flags(self, flags: &Flags) -> Self {
        #[cfg(feature = "amqp")]
        if let Some(url) = flags.amqp_url.as_ref().filter(|url| !url.is_empty()) {
            let amqp = self.amqp.unwrap_or_default().with_url(url.as_str());
            return Self { amqp: Some(amqp), ..self };
        }
        #[cfg(not(feature = "amqp"))]
        if std::env::var_os("TIDINGS_AMQP_URL").is_some_and(|url| !url.is_empty()) {
            tracing::warn!("TIDINGS_AMQP_URL is passed over: this program is built without the feature `amqp`");
        }
        // Without the transports that have flags there are none.
        let Flags { .. } = flags;
        self
    }
}
