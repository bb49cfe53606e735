//! Calls between applets: the server runs in its own context, and never twice.
//!
//! Calls go one way: an applet that is already on the stack of calls cannot be
//! entered again.
//!
//! Source: Java Card 3.0.4 Classic, runtime environment specification, 6.2.

use super::{Applet, Ctx, Privileges};
use crate::aid::Aid;
use crate::apdu::Sw;
use crate::memory::Owner;

/// An applet as others can reach it.
pub struct Peer<'p> {
    /// What it answers with.
    pub applet: &'p dyn Applet,
    /// Its context.
    pub owner: Owner,
    /// What it may do.
    pub privileges: Privileges,
}

/// The applets of the card, as the door knows them.
pub trait Peers {
    /// The applet with exactly this name that is selectable.
    fn peer(&self, aid: &Aid) -> Option<Peer<'_>>;
    /// The name of the applet whose context this is.
    fn name(&self, owner: Owner) -> Option<Aid>;
    /// The name of the issuer domain.
    fn issuer_domain(&self) -> Option<Aid>;
}

impl Ctx<'_> {
    /// Asks another applet for a service; its answer is at the start of `data`
    /// and its length is given back. What it writes is part of this command's
    /// update, and rolled back where it fails.
    ///
    /// # Errors
    /// '6A82' where there is no such applet, '6985' where it is already on the
    /// stack of calls, else the server's.
    pub fn call(&mut self, server: &Aid, service: u8, data: &mut [u8]) -> Result<usize, Sw> {
        let peers = self.peers;
        let peer = peers.peer(server).ok_or(Sw::FILE_NOT_FOUND)?;
        let client = peers.name(self.hold.owner).ok_or(Sw::NO_DIAGNOSIS)?;
        if self.hold.is_on_stack(peer.owner) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let answer_len = self.answer.len();
        let caller = self.hold.enter(peer.owner, peer.privileges);
        let outcome = self.update(|ctx| peer.applet.share(ctx, &client, service, data));
        self.hold.leave(caller);
        // The answer on the wire is the caller's alone.
        self.answer.truncate(answer_len);
        outcome
    }
}
