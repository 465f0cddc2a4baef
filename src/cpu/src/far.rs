//! Far transfers: JMP, CALL and RET between segments, call gates, IRET.
//!
//! Source: Intel SDM vol. 2, "JMP", "CALL", "RET", "IRET/IRETD/IRETQ"; vol. 3A §5.8, "Privilege
//! Level Checking when Transferring Program Control between Code Segments".

use crate::access::is_canonical;
use crate::descriptor::Found;
use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::interrupt::Frame;
use crate::segment::{Descriptor, Segment, error_of, system_type};
use crate::state::{Seg, gpr};
use crate::task::Switch;
use cutaway_isa::{Cr4, Rflags, Width};

type Done = Result<(), Fault>;

impl Exec<'_> {
    fn gp(selector: u16) -> Fault {
        Exception::GP(error_of(selector)).into()
    }

    /// Loads CS in real or virtual-8086 mode.
    fn set_real_cs(&mut self, selector: u16) {
        let cpu = &mut *self.cpu;
        if cpu.is_virtual_8086() {
            cpu.system.segments[Seg::Cs as usize] = Segment::virtual_8086(selector);
        } else {
            let code = &mut cpu.system.segments[Seg::Cs as usize];
            code.selector = selector;
            code.base = u64::from(selector) << 4;
        }
        cpu.settle();
    }

    fn is_real(&self) -> bool {
        !self.cpu.is_protected() || self.cpu.is_virtual_8086()
    }

    /// #GP(0) unless `offset` lies in the code segment about to be loaded.
    fn check_offset(&self, code: &Segment, offset: u64) -> Done {
        let ok = if self.cpu.is_long_mode() && code.is_long() {
            is_canonical(offset)
        } else {
            offset <= u64::from(code.limit)
        };
        if ok { Ok(()) } else { Err(Exception::GP0.into()) }
    }

    /// L and D together are reserved in long mode.
    fn check_long_code(&self, code: &Segment) -> Done {
        let bad = self.cpu.is_long_mode() && code.is_long() && code.is_big();
        if bad { Err(Self::gp(code.selector)) } else { Ok(()) }
    }

    /// A code segment reached without changing CPL (direct far JMP or CALL).
    fn direct_code(&mut self, found: &Found, selector: u16) -> Result<Segment, Fault> {
        let code = found.descriptor.segment(selector);
        self.check_long_code(&code)?;
        let cpl = self.cpu.cpl();
        let rpl = (selector & 3) as u8;
        let allowed =
            if code.is_conforming() { code.dpl() <= cpl } else { rpl <= cpl && code.dpl() == cpl };
        if !allowed {
            return Err(Self::gp(selector));
        }
        if !code.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        let selector = selector & 0xfffc | u16::from(cpl);
        Ok(Segment { selector, ..code })
    }

    fn load_cs(&mut self, mut found: Found, code: Segment) -> Done {
        self.cpu.mark_accessed(self.bus, &mut found)?;
        let attributes = found.descriptor.attributes();
        self.cpu.system.segments[Seg::Cs as usize] = Segment { attributes, ..code };
        self.cpu.settle();
        Ok(())
    }

    /// Far JMP.
    pub(crate) fn far_jump(&mut self, selector: u16, offset: u64) -> Done {
        if self.is_real() {
            if offset > u64::from(self.cpu.segment(Seg::Cs).limit) {
                return Err(Exception::GP0.into());
            }
            self.set_real_cs(selector);
            self.next = offset;
            return Ok(());
        }
        let found = self.cpu.descriptor(self.bus, selector, Exception::GP)?;
        let Some(kind) = found.descriptor.system_type() else {
            if !found.descriptor.segment(selector).is_code() {
                return Err(Self::gp(selector));
            }
            let code = self.direct_code(&found, selector)?;
            self.check_offset(&code, offset)?;
            self.next = offset;
            return self.load_cs(found, code);
        };
        self.check_gate(&found, selector, kind)?;
        let long = self.cpu.is_long_mode();
        match kind {
            system_type::CALL_GATE | system_type::CALL_GATE16
                if !long || kind == system_type::CALL_GATE =>
            {
                let (found, code, offset) = self.gate_target(&found, selector, kind)?;
                let cpl = self.cpu.cpl();
                let fits = if code.is_conforming() { code.dpl() <= cpl } else { code.dpl() == cpl };
                if !fits {
                    return Err(Self::gp(code.selector));
                }
                Self::check_present(&code)?;
                let code = Segment { selector: code.selector & 0xfffc | u16::from(cpl), ..code };
                self.check_offset(&code, offset)?;
                self.next = offset;
                self.load_cs(found, code)
            }
            system_type::TSS | system_type::TSS16 if !long => self.task(selector, Switch::Jump),
            system_type::TASK_GATE if !long => {
                self.task(found.descriptor.gate_selector(), Switch::Jump)
            }
            _ => Err(Self::gp(selector)),
        }
    }

    /// Type, DPL and presence of a gate or an available TSS, in that order.
    fn check_gate(&self, found: &Found, selector: u16, kind: u8) -> Done {
        use system_type::{CALL_GATE, CALL_GATE16, TASK_GATE, TSS, TSS16};
        let legacy = matches!(kind, CALL_GATE16 | TASK_GATE | TSS16 | TSS);
        let leads = kind == CALL_GATE || legacy && !self.cpu.is_long_mode();
        let rpl = (selector & 3) as u8;
        if !leads || found.descriptor.dpl() < self.cpu.cpl().max(rpl) {
            return Err(Self::gp(selector));
        }
        if !found.descriptor.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        Ok(())
    }

    /// What a call gate leads to: code of a level that can be called, present or not.
    fn gate_target(
        &mut self,
        gate: &Found,
        selector: u16,
        kind: u8,
    ) -> Result<(Found, Segment, u64), Fault> {
        let mut offset = gate.descriptor.gate_offset();
        if kind == system_type::CALL_GATE16 {
            offset &= 0xffff;
        }
        if self.cpu.is_long_mode() {
            let upper = self.cpu.upper_half(self.bus, selector, gate.at)?;
            if upper >> 40 & 0x1f != 0 {
                return Err(Self::gp(selector));
            }
            offset = offset & 0xffff_ffff | upper << 32;
        }
        let target = gate.descriptor.gate_selector();
        let found = self.cpu.descriptor(self.bus, target, Exception::GP)?;
        let code = found.descriptor.segment(target);
        if !code.is_code() || code.dpl() > self.cpu.cpl() {
            return Err(Self::gp(target));
        }
        if self.cpu.is_long_mode() && (!code.is_long() || code.is_big()) {
            return Err(Self::gp(target));
        }
        Ok((found, code, offset))
    }

    fn check_present(code: &Segment) -> Done {
        if code.is_present() { Ok(()) } else { Err(Exception::NP(error_of(code.selector)).into()) }
    }

    fn task(&mut self, selector: u16, why: Switch) -> Done {
        self.cpu.switch_task(self.bus, selector, why, self.next)?;
        self.next = self.cpu.rip;
        Ok(())
    }

    /// Pushes on the current stack, all or nothing.
    fn push_all(&mut self, width: Width, values: &[u64]) -> Done {
        let frame = Frame {
            segment: *self.cpu.segment(Seg::Ss),
            rsp: self.cpu.r[gpr::RSP],
            cpl: self.cpu.cpl(),
            width,
            ext: 0,
        };
        let top = if self.cpu.is_64_bit() {
            // 64-bit stacks take 16- and 32-bit slots too.
            let mut top = frame.rsp;
            for _ in values {
                top = top.wrapping_sub(width.bytes());
                self.cpu.probe_write(self.bus, Seg::Ss, top, width.bytes())?;
            }
            let mut at = frame.rsp;
            for &value in values {
                at = at.wrapping_sub(width.bytes());
                self.cpu.write_segment(self.bus, Seg::Ss, at, width, value & width.mask())?;
            }
            top
        } else {
            self.cpu.push_frame(self.bus, &frame, values)?
        };
        let stack = self.cpu.stack_width();
        self.cpu.put_gpr(gpr::RSP, 0, stack, top);
        Ok(())
    }

    /// Far CALL with return slots of `width`.
    pub(crate) fn far_call(&mut self, selector: u16, offset: u64, width: Width) -> Done {
        let back = [u64::from(self.cpu.segment(Seg::Cs).selector), self.next];
        if self.is_real() {
            if offset > u64::from(self.cpu.segment(Seg::Cs).limit) {
                return Err(Exception::GP0.into());
            }
            self.push_all(width, &back)?;
            self.set_real_cs(selector);
            self.next = offset;
            return Ok(());
        }
        let found = self.cpu.descriptor(self.bus, selector, Exception::GP)?;
        let Some(kind) = found.descriptor.system_type() else {
            if !found.descriptor.segment(selector).is_code() {
                return Err(Self::gp(selector));
            }
            let code = self.direct_code(&found, selector)?;
            return self.call_direct(found, code, offset, width, back);
        };
        self.check_gate(&found, selector, kind)?;
        let long = self.cpu.is_long_mode();
        match kind {
            system_type::CALL_GATE | system_type::CALL_GATE16
                if !long || kind == system_type::CALL_GATE =>
            {
                self.call_gate(&found, selector, kind)
            }
            system_type::TSS | system_type::TSS16 if !long => self.task(selector, Switch::Call),
            system_type::TASK_GATE if !long => {
                self.task(found.descriptor.gate_selector(), Switch::Call)
            }
            _ => Err(Self::gp(selector)),
        }
    }

    /// CALL to a code segment of the same privilege. The return address is pushed as the new code
    /// addresses the stack, one slot after the other, and before the target's offset is looked at
    /// (measured on Zen 3).
    fn call_direct(
        &mut self,
        found: Found,
        code: Segment,
        offset: u64,
        width: Width,
        back: [u64; 2],
    ) -> Done {
        let old = std::mem::replace(&mut self.cpu.system.segments[Seg::Cs as usize], code);
        self.cpu.settle();
        let stack = self.cpu.stack_width();
        let mut top = self.cpu.r[gpr::RSP];
        let pushed = back.into_iter().try_for_each(|value| {
            top = top.wrapping_sub(width.bytes()) & stack.mask();
            self.cpu.write_segment(self.bus, Seg::Ss, top, width, value & width.mask())
        });
        let entered = pushed
            .and_then(|()| self.check_offset(&code, offset))
            .and_then(|()| self.load_cs(found, code));
        if entered.is_err() {
            self.cpu.system.segments[Seg::Cs as usize] = old;
            self.cpu.settle();
            return entered;
        }
        self.cpu.put_gpr(gpr::RSP, 0, stack, top);
        self.next = offset;
        Ok(())
    }

    fn call_gate(&mut self, gate: &Found, selector: u16, kind: u8) -> Done {
        let (found, code, offset) = self.gate_target(gate, selector, kind)?;
        Self::check_present(&code)?;
        let long = self.cpu.is_long_mode();
        let width = match (long, kind) {
            (true, _) => Width::Qword,
            (false, system_type::CALL_GATE) => Width::Dword,
            (false, _) => Width::Word,
        };
        self.check_offset(&code, offset)?;
        let cpl = self.cpu.cpl();
        let back = [u64::from(self.cpu.segment(Seg::Cs).selector), self.next];
        if code.is_conforming() || code.dpl() == cpl {
            self.push_all(width, &back)?;
            let code = Segment { selector: code.selector & 0xfffc | u16::from(cpl), ..code };
            self.next = offset;
            return self.load_cs(found, code);
        }
        let new_cpl = code.dpl();
        let old_ss = *self.cpu.segment(Seg::Ss);
        let old_rsp = self.cpu.r[gpr::RSP];
        let (segment, rsp) = if long {
            let rsp = self.cpu.read_tss64(self.bus, 4 + 8 * u32::from(new_cpl))?;
            let attributes = u16::from(new_cpl) << 5;
            (Segment { attributes, ..Segment::null(u16::from(new_cpl)) }, rsp)
        } else {
            let (selector, rsp) = self.cpu.stack_from_tss(self.bus, new_cpl)?;
            (self.cpu.inner_stack(self.bus, selector, new_cpl, 0)?, rsp)
        };
        let mut values = vec![u64::from(old_ss.selector), old_rsp];
        if !long {
            let count = gate.descriptor.0 >> 32 & 0x1f;
            for n in (0..count).rev() {
                values.push(self.cpu.peek(self.bus, width, n * width.bytes())?);
            }
        }
        values.extend(back);
        let frame = Frame { segment, rsp, cpl: new_cpl, width, ext: 0 };
        let top = self.cpu.push_frame(self.bus, &frame, &values)?;
        let code = Segment { selector: code.selector & 0xfffc | u16::from(new_cpl), ..code };
        self.cpu.system.segments[Seg::Ss as usize] = segment;
        self.next = offset;
        self.load_cs(found, code)?;
        let stack = self.cpu.stack_width();
        self.cpu.put_gpr(gpr::RSP, 0, stack, top);
        Ok(())
    }

    /// A code segment to return to, with the privilege in its RPL.
    fn return_code(&mut self, selector: u16) -> Result<(Found, Segment), Fault> {
        let found = self.cpu.descriptor(self.bus, selector, Exception::GP)?;
        let code = found.descriptor.segment(selector);
        let rpl = (selector & 3) as u8;
        let fits = if code.is_conforming() { code.dpl() <= rpl } else { code.dpl() == rpl };
        if !code.is_code() || rpl < self.cpu.cpl() || !fits {
            return Err(Self::gp(selector));
        }
        self.check_long_code(&code)?;
        if !code.is_present() {
            return Err(Exception::NP(error_of(selector)).into());
        }
        Ok((found, code))
    }

    /// Far RET, releasing `more` bytes of parameters.
    pub(crate) fn far_return(&mut self, width: Width, more: u64) -> Done {
        let size = width.bytes();
        // The selector first, as the reference silicon does.
        let selector = self.cpu.peek(self.bus, width, size)? as u16;
        let offset = self.cpu.peek(self.bus, width, 0)?;
        if self.is_real() {
            if offset > u64::from(self.cpu.segment(Seg::Cs).limit) {
                return Err(Exception::GP0.into());
            }
            self.cpu.release(2 * size + more);
            self.set_real_cs(selector);
            self.next = offset;
            return Ok(());
        }
        let cpl = (selector & 3) as u8;
        let same = cpl == self.cpu.cpl();
        // The outer stack is read before anything is checked, as the reference silicon does.
        let outer = if same { (0, 0) } else { self.peek_stack(width, 2 * size + more)? };
        let (found, code) = self.return_code(selector)?;
        self.check_offset(&code, offset)?;
        if same {
            self.load_cs(found, code)?;
            // As the new code addresses the stack (measured on Zen 3).
            self.cpu.release(2 * size + more);
            self.next = offset;
            return Ok(());
        }
        let (rsp, ss) = outer;
        let stack = self.outer_stack(ss, cpl, &code)?;
        self.load_cs(found, code)?;
        self.enter_outer(stack, rsp.wrapping_add(more), cpl);
        self.next = offset;
        Ok(())
    }

    /// RSP and SS to return to, `at` bytes above the top of the stack; SS is read first.
    fn peek_stack(&mut self, width: Width, at: u64) -> Result<(u64, u16), Fault> {
        let ss = self.cpu.peek(self.bus, width, at + width.bytes())? as u16;
        let rsp = self.cpu.peek(self.bus, width, at)?;
        Ok((rsp, ss))
    }

    /// The stack segment of an outer level; null is allowed when returning to 64-bit code.
    fn outer_stack(&mut self, selector: u16, cpl: u8, code: &Segment) -> Result<Segment, Fault> {
        let long = self.cpu.is_long_mode() && code.is_long();
        if selector & 0xfffc == 0 {
            let fine = long && cpl < 3 && (selector & 3) as u8 == cpl;
            let null = Segment { attributes: u16::from(cpl) << 5, ..Segment::null(selector) };
            return if fine { Ok(null) } else { Err(Exception::GP0.into()) };
        }
        self.cpu.checked_stack_segment(self.bus, selector, cpl, Exception::GP)
    }

    fn enter_outer(&mut self, stack: Segment, rsp: u64, cpl: u8) {
        self.cpu.system.segments[Seg::Ss as usize] = stack;
        self.cpu.drop_inner_segments(cpl);
        self.cpu.settle();
        let width = self.cpu.stack_width();
        self.cpu.put_gpr(gpr::RSP, 0, width, rsp);
    }

    /// IRET of an operand size.
    pub(crate) fn interrupt_return(&mut self, width: Width) -> Done {
        let size = width.bytes();
        let flags = self.cpu.lazy.rflags();
        if self.cpu.is_virtual_8086() {
            return self.interrupt_return_v86(width);
        }
        if self.cpu.is_protected() && flags.contains(Rflags::NT) {
            if self.cpu.is_long_mode() {
                return Err(Exception::GP0.into());
            }
            let base = self.cpu.segment(Seg::Tr).base;
            let link = self.cpu.read_system(self.bus, base, Width::Word)? as u16;
            self.task(link, Switch::Return)?;
            self.cpu.unblock_nmi();
            return Ok(());
        }
        // From the top, as the reference silicon does.
        let image = self.cpu.peek(self.bus, width, 2 * size)?;
        let selector = self.cpu.peek(self.bus, width, size)? as u16;
        let offset = self.cpu.peek(self.bus, width, 0)?;
        let image = Rflags::from_bits_truncate(image);
        let mut changes = Rflags::STATUS | Rflags::TF | Rflags::DF | Rflags::NT;
        if width != Width::Word {
            changes |= Rflags::RF | Rflags::AC | Rflags::ID;
        }
        if self.cpu.cpl() <= flags.iopl() {
            changes |= Rflags::IF;
        }
        if self.cpu.cpl() == 0 {
            changes |= Rflags::IOPL;
            if width != Width::Word {
                changes |= Rflags::VIF | Rflags::VIP;
            }
        }
        let merged = flags.difference(changes) | image.intersection(changes);
        if !self.cpu.is_protected() {
            if offset > u64::from(self.cpu.segment(Seg::Cs).limit) {
                return Err(Exception::GP0.into());
            }
            self.cpu.release(3 * size);
            self.set_real_cs(selector);
            self.cpu.set_rflags(
                merged.difference(Rflags::VIF | Rflags::VIP)
                    | flags.intersection(Rflags::VIF | Rflags::VIP),
            );
            self.next = offset;
            self.cpu.unblock_nmi();
            return Ok(());
        }
        let to_v86 = image.contains(Rflags::VM) && self.cpu.cpl() == 0 && width != Width::Word;
        if to_v86 && !self.cpu.is_long_mode() {
            return self.return_to_v86(offset, selector, merged | Rflags::VM);
        }
        let cpl = (selector & 3) as u8;
        // 64-bit mode always pops SS:RSP.
        let short = cpl == self.cpu.cpl() && !self.cpu.is_64_bit();
        let (rsp, ss) = if short { (0, 0) } else { self.peek_stack(width, 3 * size)? };
        let (found, code) = self.return_code(selector)?;
        self.check_offset(&code, offset)?;
        if short {
            self.load_cs(found, code)?;
            self.cpu.release(3 * size); // as in `far_return`
        } else {
            let stack = self.outer_stack(ss, cpl, &code)?;
            let outer = cpl != self.cpu.cpl();
            self.load_cs(found, code)?;
            if outer {
                self.enter_outer(stack, rsp, cpl);
            } else {
                self.cpu.system.segments[Seg::Ss as usize] = stack;
                self.cpu.settle();
                let width = self.cpu.stack_width();
                self.cpu.put_gpr(gpr::RSP, 0, width, rsp);
            }
        }
        self.next = offset;
        self.cpu.set_rflags(merged);
        self.cpu.unblock_nmi();
        Ok(())
    }

    fn return_to_v86(&mut self, offset: u64, selector: u16, flags: Rflags) -> Done {
        let mut values = [0; 6];
        for (n, value) in values.iter_mut().enumerate() {
            *value = self.cpu.peek(self.bus, Width::Dword, 12 + 4 * n as u64)?;
        }
        let [rsp, ss, es, ds, fs, gs] = values;
        if offset > 0xffff {
            return Err(Exception::GP0.into());
        }
        let all = [
            (Seg::Cs, u64::from(selector)),
            (Seg::Ss, ss),
            (Seg::Es, es),
            (Seg::Ds, ds),
            (Seg::Fs, fs),
            (Seg::Gs, gs),
        ];
        for (seg, value) in all {
            self.cpu.system.segments[seg as usize] = Segment::virtual_8086(value as u16);
        }
        self.cpu.r[gpr::RSP] = rsp;
        self.cpu.set_rflags(flags);
        self.cpu.unblock_nmi();
        self.next = offset;
        Ok(())
    }

    /// IRET in virtual-8086 mode: IOPL 3, or for the 16-bit form VME's rules.
    fn interrupt_return_v86(&mut self, width: Width) -> Done {
        let size = width.bytes();
        let flags = self.cpu.lazy.rflags();
        let vme = self.cpu.system.cr4 & Cr4::VME.bits() != 0 && width == Width::Word;
        let virtualized = flags.iopl() < 3;
        if virtualized && !vme {
            return Err(Exception::GP0.into());
        }
        let offset = self.cpu.peek(self.bus, width, 0)?;
        let selector = self.cpu.peek(self.bus, width, size)? as u16;
        let image = Rflags::from_bits_truncate(self.cpu.peek(self.bus, width, 2 * size)?);
        if offset > u64::from(self.cpu.segment(Seg::Cs).limit) {
            return Err(Exception::GP0.into());
        }
        let mut changes = Rflags::STATUS | Rflags::TF | Rflags::DF | Rflags::NT;
        if width != Width::Word {
            changes |= Rflags::RF | Rflags::AC | Rflags::ID;
        }
        let mut image = image;
        if virtualized {
            let pending = image.contains(Rflags::IF) && flags.contains(Rflags::VIP);
            if pending || image.contains(Rflags::TF) {
                return Err(Exception::GP0.into());
            }
            image = image.with(Rflags::VIF, image.contains(Rflags::IF));
            changes |= Rflags::VIF;
        } else {
            changes |= Rflags::IF;
        }
        self.cpu.release(3 * size);
        self.set_real_cs(selector);
        self.cpu.set_rflags(flags.difference(changes) | image.intersection(changes));
        self.cpu.unblock_nmi();
        self.next = offset;
        Ok(())
    }
}

impl Descriptor {
    /// Whether this is a data or code descriptor that VERR accepts, or VERW for `write`.
    pub(crate) fn is_verifiable(self, selector: u16, cpl: u8, write: bool) -> bool {
        if self.system_type().is_some() {
            return false;
        }
        let segment = self.segment(selector);
        let bound = !segment.is_conforming();
        let allowed = !bound || cpl.max((selector & 3) as u8) <= segment.dpl();
        allowed && if write { segment.is_writable() } else { segment.is_readable() }
    }
}
