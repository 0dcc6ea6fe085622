//! The `Helper` block.
//!
//! The original collects queue numbers, queue lengths and policies on a stack that the end of the next `Type` block empties;
//! so they may also stand before it, and of two the first one wins.

use net_types::Family;

use super::super::diag::Kind as Problem;
use super::super::helper_table;
use super::super::model::{HelperInstance, HelperPolicy, Set};
use super::super::tokens::{Kind, Token};
use super::{Parser, Step};

const LONGEST_POLICY_NAME: usize = 16;

/// What waits for the end of a `Type` block.
pub(super) enum Item {
    QueueNum(u32),
    QueueLen(u32),
    Policy(Set<HelperPolicy>),
}

impl<'a> Parser<'a> {
    pub(super) fn helper_line(&mut self, token: Token<'a>) -> Step {
        if token.kind == Kind::Keyword("Setup") {
            self.helper.setup = self.switch()?;
            return Ok(());
        }
        self.helper_item(token)
    }

    fn helper_item(&mut self, token: Token<'a>) -> Step {
        match token.kind {
            Kind::Keyword("Type") => self.helper_type(),
            Kind::Keyword("QueueNum") => {
                let n = self.number()?.value;
                self.helper_items.push(Item::QueueNum(n));
                Ok(())
            }
            Kind::Keyword("QueueLen") => {
                let n = self.number()?.value;
                self.helper_items.push(Item::QueueLen(n));
                Ok(())
            }
            Kind::Keyword("Policy") => self.helper_policy(),
            _ => self.unexpected(token),
        }
    }

    fn helper_type(&mut self) -> Step {
        let name = self.expect(Kind::Word)?;
        let layer3 = self.expect(Kind::Word)?;
        let layer4 = self.expect(Kind::Word)?;
        self.block(Self::helper_item)?;
        let family = match layer3.bytes {
            b"inet" => Family::V4,
            b"inet6" => Family::V6,
            _ => return self.fail(layer3.span, Problem::HelperLayer3),
        };
        let protocol = match layer4.bytes {
            b"tcp" => 6,
            b"udp" => 17,
            _ => return self.fail(layer4.span, Problem::HelperLayer4),
        };
        let text = name.text();
        let Some(known) = helper_table::policies(&text, protocol) else {
            return self.fail(name.span, Problem::UnknownHelper(text));
        };
        let mut instance = HelperInstance {
            name: Set::at(text, name.span),
            family,
            protocol,
            queue_num: 0,
            queue_len: 0,
            policies: Vec::new(),
        };
        while let Some(item) = self.helper_items.pop() {
            match item {
                Item::QueueNum(n) => instance.queue_num = n,
                Item::QueueLen(n) => instance.queue_len = n,
                Item::Policy(policy) => {
                    if !known.contains(&policy.name.as_str()) {
                        let span = policy.span.unwrap_or(name.span);
                        return self.fail(span, Problem::UnknownPolicy(policy.value.name));
                    }
                    instance.policies.retain(|old| old.name != policy.name);
                    instance.policies.push(policy.value);
                }
            }
        }
        self.helper.instances.push(instance);
        Ok(())
    }

    fn helper_policy(&mut self) -> Step {
        let name = self.expect(Kind::Word)?;
        let mut policy: Option<HelperPolicy> = None;
        self.block(|parser, token| {
            let slot = match token.kind {
                Kind::Keyword("ExpectMax") => |p: &mut HelperPolicy, n| p.expect_max = n,
                Kind::Keyword("ExpectTimeout") => |p: &mut HelperPolicy, n| p.expect_timeout = n,
                _ => return parser.unexpected(token),
            };
            let value = parser.number()?.value;
            slot(policy.get_or_insert_default(), value);
            Ok(())
        })?;
        let Some(mut policy) = policy else {
            return self.fail(name.span, Problem::EmptyPolicy);
        };
        policy.name = name.text();
        if policy.name.len() > LONGEST_POLICY_NAME {
            return self.fail(name.span, Problem::PolicyTooLong);
        }
        self.helper_items
            .push(Item::Policy(Set::at(policy, name.span)));
        Ok(())
    }
}
