//! The transports that this server mounts: the one list.

use serde::Deserialize;
use tidings::HostBuilder;

/// Makes [`Transports`] of the list: for each transport that is built, a section of the config under its name, and its
/// place in the host.
macro_rules! transports {
    ($($(#[$built:meta])* $name:literal $module:ident::$Transport:ident;)*) => {
        /// The knobs of each transport, by its name. A transport that is not built has none.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Transports {$(
            $(#[$built])*
            #[doc = concat!("The knobs of `", $name, "`.")]
            #[serde(rename = $name)]
            pub $module: tidings::$module::Config,
        )*}

        impl Transports {
            /// Mounts them all, in the order of the list.
            pub fn mount(self, host: HostBuilder) -> HostBuilder {
                $($(#[$built])* let host = host.mount(tidings::$module::$Transport::new(self.$module));)*
                host
            }
        }
    };
}

transports! {
    #[cfg(feature = "short-poll")] "short-poll" short_poll::ShortPoll;
    #[cfg(feature = "long-poll")] "long-poll" long_poll::LongPoll;
    #[cfg(feature = "sse")] "sse" sse::Sse;
}
