//! The random number that an applet drew last, good for one use.
//!
//! Each logical channel has its own; it is gone when another applet is selected.

use cardlab::applet::{Ctx, Plan, Transient};

/// The most that can be drawn at a time.
const LEN_MAX: usize = 16;

/// The latest random number drawn: its length, 0 for none, and its bytes.
#[derive(Debug)]
pub(crate) struct Drawn(Transient<[u8; 1 + LEN_MAX]>);

/// A random number drawn, 0 to 16 bytes; none where it was used up.
pub(crate) struct Challenge {
    len: u8,
    bytes: [u8; LEN_MAX],
}

impl Challenge {
    /// It alone.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// It, and zeros behind; `None` where there is none.
    pub(crate) const fn filled(&self) -> Option<[u8; LEN_MAX]> {
        match self.len {
            0 => None,
            _ => Some(self.bytes),
        }
    }
}

impl Drawn {
    pub(crate) fn attach(plan: &mut Plan) -> Drawn {
        Drawn(plan.transient_on_deselect())
    }

    /// Draws so many bytes, in place of any before, and answers them.
    pub(crate) fn draw(&self, ctx: &mut Ctx<'_>, len: u8) {
        let mut kept = [0; 1 + LEN_MAX];
        kept[0] = len;
        if let Some(drawn) = kept.get_mut(1..=usize::from(len)) {
            ctx.random(drawn);
            ctx.answer(drawn);
        }
        ctx.set(&self.0, kept);
    }

    /// Uses it up.
    pub(crate) fn take(&self, ctx: &mut Ctx<'_>) -> Challenge {
        let [len, bytes @ ..] = ctx.get(&self.0);
        self.drop(ctx);
        Challenge { len, bytes }
    }

    /// Forgets it.
    pub(crate) fn drop(&self, ctx: &mut Ctx<'_>) {
        ctx.set(&self.0, [0; 1 + LEN_MAX]);
    }
}
