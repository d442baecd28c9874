//! Clients, served side by side: what they send is carried out, what they get is never waited for.

use std::time::Instant;

use sys::event::Ready;

use super::client::{Client, PATIENCE};
use super::life::Phase;
use super::watch::Monitor;
use crate::attach::FrameKind;
use crate::logs::Stream;

impl Monitor<'_> {
    pub(super) fn read_output(&mut self, stream: Stream) {
        let count = self.streams.read(stream, &mut self.bytes, &mut self.log);
        let kind = match stream {
            Stream::Stdout => FrameKind::Stdout,
            Stream::Stderr => FrameKind::Stderr,
        };
        if count > 0 {
            for client in self.clients.all.values_mut() {
                client.output(kind, &self.bytes[..count]);
            }
        }
    }

    pub(super) fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        loop {
            match sys::socket::accept(listener) {
                Ok(Some(socket)) => {
                    self.clients.add(Client::new(socket));
                }
                Ok(None) => return,
                Err(_) => {
                    // There is no room for more of them. Who waits would be told of over and over;
                    // the next one that leaves lets us listen again.
                    self.is_deaf = true;
                    return;
                }
            }
        }
    }

    pub(super) fn serve(&mut self, number: u32, ready: Ready) {
        let Some(client) = self.clients.all.get_mut(&number) else { return };
        let mut stays = !ready.write || client.flush().is_ok();
        if stays && ready.read && !client.held {
            stays = client.receive(&mut self.bytes);
        }
        stays &= self.frames(number);
        if !stays {
            self.drop_client(number);
        }
    }

    /// Carries out what a client has sent, as far as it is not to wait.
    pub(super) fn frames(&mut self, number: u32) -> bool {
        loop {
            let Some(client) = self.clients.all.get_mut(&number) else { return true };
            let types = client.attached.is_some_and(|(wants, _)| wants.stdin);
            client.held = types && self.streams.is_full();
            if client.held {
                return true;
            }
            match client.frame() {
                Ok(Some(frame)) => self.frame(number, frame),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    pub(super) fn drop_client(&mut self, number: u32) {
        self.rest_later();
        self.end_typing(number);
        self.clients.all.remove(&number);
        self.is_deaf = false;
        self.asked.retain(|asked| asked.client != number);
        self.leave_execs(number);
        if matches!(self.phase, Phase::Waiting) && self.clients.all.is_empty() {
            // Who wanted the start has gone before asking for it.
            self.phase = Phase::Over;
            self.close();
        }
    }

    /// Whether output is left in its pipe for now, so that the container waits. What is left there
    /// when it has ended is not much, and is read so that its end need not wait for a client.
    pub(super) fn has_to_wait(&mut self) -> bool {
        match self.phase {
            Phase::Draining { .. } => self.clients.all.values().any(Client::is_overfull),
            _ => self.clients.all.values().any(Client::is_full) || self.log.is_full(),
        }
    }

    /// Sends clients what there is room for.
    pub(super) fn flush_clients(&mut self) {
        let gone: Vec<u32> = self
            .clients
            .all
            .iter_mut()
            .filter_map(|(number, client)| client.flush().is_err().then_some(*number))
            .collect();
        gone.into_iter().for_each(|number| self.drop_client(number));
    }

    /// Drops who makes the container wait for too long.
    pub(super) fn drop_slow(&mut self, now: Instant) {
        let slow = self.clients.all.iter_mut().filter(|(_, client)| {
            !client.patient
                && client.is_full()
                && client.stalled.is_some_and(|at| now.duration_since(at) >= PATIENCE)
        });
        let slow: Vec<u32> = slow.map(|(number, _)| *number).collect();
        for number in slow {
            self.drop_client(number);
        }
    }
}
