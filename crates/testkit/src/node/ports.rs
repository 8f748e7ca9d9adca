//! Free ports on the loopback address.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::bail;

/// Below 32768, where Linux takes the ports of outgoing connections from: a connection that some
/// other process opens can never sit on a port that was found free here.
const RANGE: Range<u16> = 20_000..32_000;

/// Finds `N` different ports that nobody listens on at this moment.
///
/// Another process may still be faster in taking one; who starts a server starts it again on new
/// ports then.
pub(super) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    for attempt in 0..1_000_u32 {
        if held.len() == N {
            break;
        }
        // All listeners stay open until the last port is found, so that none is found twice.
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, random_port(attempt))) {
            held.push(listener);
        }
    }
    if held.len() < N {
        bail!(
            "no {N} free ports between {} and {}",
            RANGE.start,
            RANGE.end
        );
    }
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Each `RandomState` has keys of its own: randomness enough, without a dependency.
fn random_port(attempt: u32) -> u16 {
    let span = u64::from(RANGE.end - RANGE.start);
    let offset = RandomState::new().hash_one(attempt) % span;
    RANGE.start + u16::try_from(offset).expect("an offset within a range of u16 is a u16")
}

#[cfg(test)]
mod tests {
    use super::{RANGE, free_ports};

    #[test]
    fn ports_are_different_and_below_the_ephemeral_range() -> anyhow::Result<()> {
        let mut ports = free_ports::<32>()?;
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] < pair[1]), "{ports:?}");
        assert!(ports.iter().all(|port| RANGE.contains(port)), "{ports:?}");
        Ok(())
    }
}
