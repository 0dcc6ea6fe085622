//! The transmit queue and the resend queue: two lists over one room of nodes.
//!
//! An object or control message is in at most one of them; moving it keeps its node.

use alloc::vec::Vec;

const NIL: u32 = u32::MAX;
/// Nodes whose room is kept when both lists are empty.
const KEPT: usize = 1024;

/// Index of a node, kept by the cache entry that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No node: the entry is in no queue.
    pub(crate) const NONE: Self = Self(NIL);

    pub(crate) fn is_some(self) -> bool {
        self.0 != NIL
    }
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// Slot of the internal conntrack cache.
    Conntrack(u32),
    /// Slot of the internal expectation cache.
    Expect(u32),
    /// A control message.
    Control { flags: u8, from: u32, to: u32 },
}

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Waiting to be sent.
    Transmit,
    /// Sent and not yet acknowledged.
    Resend,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    prev: u32,
    next: u32,
    sequence: u32,
    list: Option<List>,
    element: Element,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    head: u32,
    tail: u32,
    len: u32,
}

impl Ends {
    const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
        len: 0,
    };
}

/// Both lists.
#[derive(Debug)]
pub(crate) struct Queues {
    nodes: Vec<Node>,
    free: u32,
    transmit: Ends,
    resend: Ends,
    /// Most elements of the resend list.
    pub(crate) resend_max: u32,
    /// How often the resend list was full.
    pub(crate) resend_full: u32,
    /// Control messages in either list.
    pub(crate) controls: u32,
}

impl Queues {
    pub(crate) fn new(resend_max: u32) -> Self {
        Self {
            nodes: Vec::new(),
            free: NIL,
            transmit: Ends::EMPTY,
            resend: Ends::EMPTY,
            resend_max,
            resend_full: 0,
            controls: 0,
        }
    }

    fn ends(&mut self, list: List) -> &mut Ends {
        match list {
            List::Transmit => &mut self.transmit,
            List::Resend => &mut self.resend,
        }
    }

    fn node(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }

    fn peek(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn len(&self, list: List) -> u32 {
        match list {
            List::Transmit => self.transmit.len,
            List::Resend => self.resend.len,
        }
    }

    /// A new element at the end of `list`.
    pub(crate) fn push(&mut self, list: List, element: Element) -> NodeId {
        let node = Node {
            prev: NIL,
            next: NIL,
            sequence: 0,
            list: None,
            element,
        };
        if matches!(element, Element::Control { .. }) {
            self.controls = self.controls.saturating_add(1);
        }
        let index = if let Some(slot) = self.peek(self.free).map(|n| n.next) {
            let index = self.free;
            self.free = slot;
            if let Some(n) = self.node(index) {
                *n = node;
            }
            index
        } else {
            // Fewer than 2^32 - 1 nodes: caches and control messages are bounded far below.
            let index = u32::try_from(self.nodes.len()).unwrap_or(NIL);
            self.nodes.push(node);
            index
        };
        self.link(index, list);
        NodeId(index)
    }

    fn link(&mut self, index: u32, list: List) {
        let tail = self.ends(list).tail;
        if let Some(n) = self.node(index) {
            n.prev = tail;
            n.next = NIL;
            n.list = Some(list);
        }
        if let Some(n) = self.node(tail) {
            n.next = index;
        }
        let ends = self.ends(list);
        if tail == NIL {
            ends.head = index;
        }
        ends.tail = index;
        ends.len = ends.len.saturating_add(1);
    }

    fn unlink(&mut self, index: u32) {
        let Some(n) = self.node(index) else { return };
        let (prev, next) = (n.prev, n.next);
        let Some(list) = n.list.take() else { return };
        if let Some(p) = self.node(prev) {
            p.next = next;
        }
        if let Some(s) = self.node(next) {
            s.prev = prev;
        }
        let ends = self.ends(list);
        if prev == NIL {
            ends.head = next;
        }
        if next == NIL {
            ends.tail = prev;
        }
        ends.len = ends.len.saturating_sub(1);
    }

    /// Moves an element to the end of `list`.
    pub(crate) fn move_to(&mut self, id: NodeId, list: List) {
        self.unlink(id.0);
        self.link(id.0, list);
    }

    /// Which list an element is in.
    pub(crate) fn list_of(&self, id: NodeId) -> Option<List> {
        self.peek(id.0).and_then(|n| n.list)
    }

    /// Takes an element out and forgets it.
    pub(crate) fn remove(&mut self, id: NodeId) {
        let Some(element) = self.peek(id.0).map(|n| n.element) else {
            return;
        };
        self.unlink(id.0);
        if matches!(element, Element::Control { .. }) {
            self.controls = self.controls.saturating_sub(1);
        }
        let free = self.free;
        if let Some(n) = self.node(id.0) {
            n.next = free;
            n.element = Element::Control {
                flags: 0,
                from: 0,
                to: 0,
            };
        }
        self.free = id.0;
        if self.transmit.len == 0 && self.resend.len == 0 && self.nodes.len() > KEPT {
            // Give the memory of a burst back.
            self.nodes = Vec::new();
            self.free = NIL;
        }
    }

    /// Whether all there is to be sent is one control message with these flags.
    pub(crate) fn is_lone(&self, flags: u8) -> bool {
        self.transmit.len == 1
            && matches!(
                self.peek(self.transmit.head).map(|n| n.element),
                Some(Element::Control { flags: f, .. }) if f == flags
            )
    }

    /// Makes the last unsent element say more, if it is a control message with these flags whose range ends before `from`.
    pub(crate) fn extend_last(&mut self, flags: u8, from: u32, to: u32) -> bool {
        let tail = self.transmit.tail;
        match self.node(tail).map(|n| &mut n.element) {
            Some(Element::Control {
                flags: f, to: last, ..
            }) if *f == flags && last.wrapping_add(1) == from => {
                *last = to;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn first(&self, list: List) -> Option<NodeId> {
        let head = match list {
            List::Transmit => self.transmit.head,
            List::Resend => self.resend.head,
        };
        (head != NIL).then_some(NodeId(head))
    }

    pub(crate) fn after(&self, id: NodeId) -> Option<NodeId> {
        let next = self.peek(id.0)?.next;
        (next != NIL).then_some(NodeId(next))
    }

    /// Element and sequence number of a node.
    pub(crate) fn get(&self, id: NodeId) -> Option<(Element, u32)> {
        self.peek(id.0).map(|n| (n.element, n.sequence))
    }

    /// Notes what was sent: the sequence number, and the flags a control message went out with.
    pub(crate) fn set_sent(&mut self, id: NodeId, sequence: u32, sent_flags: u8) {
        if let Some(n) = self.node(id.0) {
            n.sequence = sequence;
            if let Element::Control { flags, .. } = &mut n.element {
                *flags = sent_flags;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(q: &Queues, list: List) -> Vec<u32> {
        let mut seen = Vec::new();
        let mut at = q.first(list);
        while let Some(id) = at {
            if let Some((Element::Conntrack(n), _)) = q.get(id) {
                seen.push(n);
            }
            at = q.after(id);
        }
        seen
    }

    #[test]
    fn ranges_that_follow_each_other_become_one() {
        let mut q = Queues::new(10);
        let ack = |from, to| Element::Control { flags: 8, from, to };
        assert!(!q.extend_last(8, 1, 300));
        let first = q.push(List::Transmit, ack(u32::MAX - 9, u32::MAX));
        assert!(q.extend_last(8, 0, 299));
        assert!(!q.extend_last(8, 301, 600), "a gap");
        assert!(!q.extend_last(4, 300, 600), "another kind");
        assert_eq!(q.get(first), Some((ack(u32::MAX - 9, 299), 0)));
        q.move_to(first, List::Resend);
        assert!(!q.extend_last(8, 300, 600), "it was sent");
    }

    #[test]
    fn the_room_of_a_burst_is_given_back() {
        let mut q = Queues::new(10);
        let ids: Vec<NodeId> = (0..5000)
            .map(|n| q.push(List::Transmit, Element::Conntrack(n)))
            .collect();
        for id in ids {
            q.remove(id);
        }
        assert_eq!(q.nodes.capacity(), 0);
        assert_eq!(q.push(List::Transmit, Element::Conntrack(1)), NodeId(0));
    }

    #[test]
    fn elements_move_between_the_lists_in_order() {
        let mut q = Queues::new(10);
        let a = q.push(List::Transmit, Element::Conntrack(1));
        let b = q.push(List::Transmit, Element::Conntrack(2));
        let c = q.push(List::Transmit, Element::Conntrack(3));
        q.move_to(b, List::Resend);
        q.move_to(a, List::Resend);
        assert_eq!(order(&q, List::Transmit), [3]);
        assert_eq!(order(&q, List::Resend), [2, 1]);
        q.remove(b);
        assert_eq!(order(&q, List::Resend), [1]);
        let d = q.push(List::Transmit, Element::Conntrack(4));
        assert_eq!(d, b, "the room of a removed element is used again");
        assert_eq!(order(&q, List::Transmit), [3, 4]);
        q.remove(c);
        q.remove(d);
        q.remove(a);
        assert_eq!((q.len(List::Transmit), q.len(List::Resend)), (0, 0));
        assert_eq!(q.nodes.len(), 3);
    }
}
