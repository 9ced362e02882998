//! Points in time as Go's `time` package reads and writes them in sops files.

/// A point in time: civil date and clock with an offset, so that the original offset is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanosecond: u32,
    /// Seconds east of UTC; `None` where Go prints `Z`.
    pub offset: Option<i32>,
}
