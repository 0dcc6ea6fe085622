//! The numbers of the control socket: one native-endian 32-bit integer per connection, the same for 1.4.8 and for us.

/// `-F ct`
pub const FLUSH_KERNEL_CT: i32 = 0;
/// `-R ct`
pub const RESYNC_CT: i32 = 1;
/// `-i`
pub const DUMP_INTERNAL: i32 = 16;
/// `-e`
pub const DUMP_EXTERNAL: i32 = 17;
/// `-c ct`
pub const COMMIT_CT: i32 = 18;
/// Both connection caches; no option sends it
pub const FLUSH_CT_CACHES: i32 = 19;
/// `-k`
pub const KILL: i32 = 20;
/// `-s`
pub const STATS: i32 = 21;
/// `-B`
pub const SEND_BULK: i32 = 22;
/// `-n`
pub const REQUEST_BULK: i32 = 23;
/// `-i -x`
pub const DUMP_INTERNAL_XML: i32 = 24;
/// `-e -x`
pub const DUMP_EXTERNAL_XML: i32 = 25;
/// `-t`
pub const RESET_TIMERS: i32 = 26;
/// `-s network`
pub const STATS_NETWORK: i32 = 28;
/// `-s cache`
pub const STATS_CACHE: i32 = 29;
/// `-s runtime`
pub const STATS_RUNTIME: i32 = 30;
/// `-s link`
pub const STATS_LINK: i32 = 31;
/// `-s rsqueue`
pub const STATS_RSQUEUE: i32 = 32;
/// `-f internal`
pub const FLUSH_INTERNAL: i32 = 33;
/// `-f external`
pub const FLUSH_EXTERNAL: i32 = 34;
/// `-s process`
pub const STATS_PROCESS: i32 = 35;
/// `-s queue`
pub const STATS_QUEUE: i32 = 36;
/// `-s expect`
pub const STATS_EXPECT: i32 = 37;
/// `-F expect`
pub const FLUSH_KERNEL_EXPECT: i32 = 38;
/// `-R expect`
pub const RESYNC_EXPECT: i32 = 39;
/// `-i expect`
pub const DUMP_INTERNAL_EXPECT: i32 = 40;
/// `-e expect`
pub const DUMP_EXTERNAL_EXPECT: i32 = 41;
/// `-c expect`
pub const COMMIT_EXPECT: i32 = 42;
/// `-F`
pub const FLUSH_KERNEL_ALL: i32 = 43;
/// `-R`
pub const RESYNC_ALL: i32 = 44;
/// `-f`
pub const FLUSH_ALL_CACHES: i32 = 45;
/// `-c`
pub const COMMIT_ALL: i32 = 46;
/// `-i expect -x`
pub const DUMP_INTERNAL_EXPECT_XML: i32 = 47;
/// `-e expect -x`
pub const DUMP_EXTERNAL_EXPECT_XML: i32 = 48;
/// `--json`: added to the number of a statistics request; our own.
pub const JSON: i32 = 256;
