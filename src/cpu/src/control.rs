//! Control registers and MSRs: what may be written, and what follows from it.
//!
//! Source: Intel SDM vol. 3A §2.5, "Control Registers"; §9.8.5, "Initializing IA-32e Mode"; vol. 4.

use crate::access::is_canonical;
use crate::exception::{Exception, Fault};
use crate::state::Seg;
use crate::vcpu::TraceClasses;
use crate::{Bus, Event, Vcpu};
use cutaway_isa::{Cr0, Cr4, Efer, Rflags, msr};

/// IA32_APIC_BASE: the local APIC is there.
pub(crate) const APIC_ENABLE: u64 = 1 << 11;
/// IA32_APIC_BASE: this is the bootstrap processor.
const APIC_BSP: u64 = 1 << 8;

impl Vcpu {
    /// Replaces RFLAGS, with what follows from the flags that are not status flags.
    pub(crate) fn set_rflags(&mut self, new: Rflags) {
        let changed = self.lazy.known.symmetric_difference(new);
        self.lazy.set_rflags(new | Rflags::ONE);
        if changed.intersects(Rflags::VM | Rflags::AC) {
            self.settle();
        }
        if changed.intersects(Rflags::IF | Rflags::TF | Rflags::RF | Rflags::VIF | Rflags::VM) {
            self.attention = true;
        }
    }

    /// Drops translations; those of global pages too if `global`.
    pub(crate) fn flush_translations(&mut self, global: bool) {
        let all = global || self.system.cr4 & Cr4::PGE.bits() == 0;
        if all {
            self.tlb.flush();
        } else {
            self.tlb.flush_local();
        }
        self.blocks.unlink(all);
        self.global_code = true;
        self.restamp();
    }

    /// INVLPG.
    pub(crate) fn invalidate_page(&mut self, linear: u64) {
        if self.tlb.invalidate(linear) {
            self.blocks.unlink(true);
            self.restamp();
        }
    }

    fn mode_changed(&mut self, bus: &mut dyn Bus) {
        self.flush_translations(true);
        self.settle();
        self.attention = true;
        self.report_mode(bus);
    }

    /// Tells of the control registers, which may have changed.
    pub(crate) fn report_mode(&self, bus: &mut dyn Bus) {
        if self.traces(TraceClasses::MODE) {
            let s = &self.system;
            let (cr0, cr3, cr4, efer) = (s.cr0, s.cr3, s.cr4, s.efer);
            bus.trace(&Event::Mode { at: self.ticks, cr0, cr3, cr4, efer });
        }
    }

    pub(crate) fn write_cr0(&mut self, bus: &mut dyn Bus, value: u64) -> Result<(), Fault> {
        let old = Cr0::from_bits_retain(self.system.cr0);
        let new = Cr0::from_bits_retain(value & self.model.cr0_bits() | Cr0::ET.bits());
        let reserved = value >> 32 != 0;
        let without_pe = new.contains(Cr0::PG) && !new.contains(Cr0::PE);
        let cache = new.contains(Cr0::NW) && !new.contains(Cr0::CD);
        if reserved || without_pe || cache {
            return Err(Exception::GP0.into());
        }
        let turns_on = new.contains(Cr0::PG) && !old.contains(Cr0::PG);
        let turns_off = old.contains(Cr0::PG) && !new.contains(Cr0::PG);
        let pae = self.system.cr4 & Cr4::PAE.bits() != 0;
        if turns_on && self.system.efer & Efer::LME.bits() != 0 {
            if !pae || self.segment(Seg::Cs).is_long() {
                return Err(Exception::GP0.into());
            }
            self.system.efer |= Efer::LMA.bits();
        } else if turns_off && self.is_long_mode() {
            if self.is_64_bit() {
                return Err(Exception::GP0.into());
            }
            self.system.efer &= !Efer::LMA.bits();
        } else if new.contains(Cr0::PG) && pae && !self.is_long_mode() {
            let watched = Cr0::PG | Cr0::CD | Cr0::NW;
            if old.symmetric_difference(new).intersects(watched) {
                self.load_pdptes(bus, self.system.cr3)?;
            }
        }
        self.system.cr0 = new.bits();
        let translation = Cr0::PE | Cr0::PG | Cr0::WP | Cr0::AM;
        if old.symmetric_difference(new).intersects(translation) {
            self.mode_changed(bus);
        } else {
            self.settle();
            self.report_mode(bus);
        }
        Ok(())
    }

    pub(crate) fn write_cr3(&mut self, bus: &mut dyn Bus, value: u64) -> Result<(), Fault> {
        if self.is_long_mode() {
            if value >> crate::paging::PHYSICAL_BITS != 0 {
                return Err(Exception::GP0.into());
            }
        } else if self.paging_enabled() && self.system.cr4 & Cr4::PAE.bits() != 0 {
            self.load_pdptes(bus, value)?;
        }
        self.system.cr3 = value;
        self.flush_translations(false);
        self.report_mode(bus);
        Ok(())
    }

    pub(crate) fn write_cr4(&mut self, bus: &mut dyn Bus, value: u64) -> Result<(), Fault> {
        let (old, new) = (self.system.cr4, value);
        if value & !self.model.cr4_bits() != 0 {
            return Err(Exception::GP0.into());
        }
        let pae = Cr4::PAE.bits();
        if self.is_long_mode() && new & pae == 0 {
            return Err(Exception::GP0.into());
        }
        let translation = (Cr4::PAE | Cr4::PSE | Cr4::PGE | Cr4::SMEP | Cr4::SMAP).bits();
        let changed = old ^ new;
        if self.paging_enabled()
            && new & pae != 0
            && !self.is_long_mode()
            && changed & translation != 0
        {
            self.load_pdptes(bus, self.system.cr3)?;
        }
        self.system.cr4 = new;
        if changed & translation != 0 {
            self.mode_changed(bus);
        } else {
            self.settle();
            self.report_mode(bus);
        }
        Ok(())
    }

    /// The time-stamp counter: one per tick.
    pub(crate) fn tsc(&self) -> u64 {
        let guest = self.svm.guest.as_ref().map_or(0, |guest| guest.tsc_offset);
        self.ticks.wrapping_add(self.system.msrs.tsc_offset).wrapping_add(guest)
    }

    pub(crate) fn read_msr(&self, number: u32) -> Result<u64, Fault> {
        if !self.model.has_msr() {
            return Err(Exception::UD.into());
        }
        let m = &self.system.msrs;
        let long = self.model.has_long_mode();
        Ok(match number {
            msr::TSC => self.tsc(),
            msr::APIC_BASE => m.apic_base,
            msr::PLATFORM_ID | msr::FEATURE_CONTROL => 0,
            msr::BIOS_SIGN_ID => m.bios_sign_id,
            // Eight variable ranges, fixed ranges, write combining.
            msr::MTRRCAP => 0x508,
            msr::SYSENTER_CS => m.sysenter_cs,
            msr::SYSENTER_ESP => m.sysenter_esp,
            msr::SYSENTER_EIP => m.sysenter_eip,
            msr::MCG_CAP => 0,
            msr::MCG_STATUS => m.mcg_status,
            msr::MISC_ENABLE => m.misc_enable,
            msr::DEBUGCTL => m.debugctl,
            msr::PAT => m.pat,
            msr::MTRR_DEF_TYPE => m.mtrr_def_type,
            _ if number.wrapping_sub(msr::MTRR_PHYSBASE0) < 16 => {
                m.mtrr_var[(number - msr::MTRR_PHYSBASE0) as usize]
            }
            _ if fixed_mtrr(number).is_some() => m.mtrr_fixed[fixed_mtrr(number).unwrap_or(0)],
            msr::EFER if self.model.has_efer() => self.system.efer,
            msr::STAR if self.model.has_syscall() => m.star,
            msr::LSTAR if long => m.lstar,
            msr::CSTAR if long => m.cstar,
            msr::SFMASK if long => m.sfmask,
            msr::FS_BASE if long => self.segment(Seg::Fs).base,
            msr::GS_BASE if long => self.segment(Seg::Gs).base,
            msr::KERNEL_GS_BASE if long => m.kernel_gs_base,
            msr::TSC_AUX if self.model.has_rdtscp() => m.tsc_aux,
            // No supervisor state component is there.
            msr::XSS if self.model.has_xsavec() => 0,
            msr::SYSCFG if long => m.syscfg,
            msr::HWCR if long => m.hwcr,
            msr::VM_CR if self.model.has_svm() => self.svm.vm_cr,
            msr::VM_HSAVE_PA if self.model.has_svm() => self.svm.hsave_pa,
            // SVM is locked off.
            msr::VM_CR if long => 0x18,
            _ => return Err(Exception::GP0.into()),
        })
    }

    pub(crate) fn write_msr(&mut self, number: u32, value: u64) -> Result<(), Fault> {
        if !self.model.has_msr() {
            return Err(Exception::UD.into());
        }
        let long = self.model.has_long_mode();
        let canonical =
            |v: u64| if is_canonical(v) { Ok(v) } else { Err(Fault::from(Exception::GP0)) };
        let (has_syscall, has_rdtscp) = (self.model.has_syscall(), self.model.has_rdtscp());
        let has_xsavec = self.model.has_xsavec();
        let ticks = self.ticks;
        let m = &mut self.system.msrs;
        match number {
            msr::TSC => m.tsc_offset = value.wrapping_sub(ticks),
            // x2APIC, and what else is reserved (SDM vol. 3A, "Local APIC Status and Location").
            msr::APIC_BASE if self.model.has_apic() => {
                if value & !(crate::paging::ADDRESS | APIC_ENABLE | APIC_BSP) != 0 {
                    return Err(Exception::GP0.into());
                }
                m.apic_base = value;
            }
            msr::APIC_BASE => m.apic_base = value & 0xff_ffff_ff00,
            // A microcode update is accepted and changes nothing; the revision reads back.
            0x79 => {}
            msr::BIOS_SIGN_ID => m.bios_sign_id = value,
            msr::SYSENTER_CS => m.sysenter_cs = value & 0xffff_ffff,
            msr::SYSENTER_ESP => m.sysenter_esp = canonical(value)?,
            msr::SYSENTER_EIP => m.sysenter_eip = canonical(value)?,
            msr::MCG_STATUS => m.mcg_status = value,
            msr::MISC_ENABLE => m.misc_enable = value,
            msr::DEBUGCTL => m.debugctl = value & 0x3f,
            msr::PAT => {
                let valid = value.to_le_bytes().iter().all(|&t| matches!(t, 0 | 1 | 4..=7));
                if !valid {
                    return Err(Exception::GP0.into());
                }
                m.pat = value;
            }
            msr::MTRR_DEF_TYPE => m.mtrr_def_type = value & 0xcff,
            _ if number.wrapping_sub(msr::MTRR_PHYSBASE0) < 16 => {
                m.mtrr_var[(number - msr::MTRR_PHYSBASE0) as usize] = value;
            }
            _ if fixed_mtrr(number).is_some() => {
                m.mtrr_fixed[fixed_mtrr(number).unwrap_or(0)] = value
            }
            msr::EFER if self.model.has_efer() => return self.write_efer(value),
            msr::STAR if has_syscall => m.star = value,
            msr::LSTAR if long => m.lstar = canonical(value)?,
            msr::CSTAR if long => m.cstar = canonical(value)?,
            msr::SFMASK if long => m.sfmask = value & 0xffff_ffff,
            msr::FS_BASE if long => return self.write_base(Seg::Fs, canonical(value)?),
            msr::GS_BASE if long => return self.write_base(Seg::Gs, canonical(value)?),
            msr::KERNEL_GS_BASE if long => m.kernel_gs_base = canonical(value)?,
            msr::TSC_AUX if has_rdtscp => m.tsc_aux = value & 0xffff_ffff,
            msr::XSS if has_xsavec && value == 0 => {}
            msr::SYSCFG if long => m.syscfg = value,
            msr::HWCR if long => m.hwcr = value,
            msr::VM_CR if self.model.has_svm() => return self.write_vm_cr(value),
            msr::VM_HSAVE_PA if self.model.has_svm() => return self.write_hsave_pa(value),
            _ => return Err(Exception::GP0.into()),
        }
        Ok(())
    }

    /// Replaces the base of FS or GS.
    pub(crate) fn write_base(&mut self, seg: Seg, value: u64) -> Result<(), Fault> {
        self.system.segments[seg as usize].base = value;
        self.settle();
        Ok(())
    }

    fn write_efer(&mut self, value: u64) -> Result<(), Fault> {
        let old = self.system.efer;
        let changes_lme = (old ^ value) & Efer::LME.bits() != 0;
        let sets_svme = value & Efer::SVME.bits() != 0 && self.svm_disabled();
        if sets_svme || value & !self.model.efer_bits() != 0 || changes_lme && self.paging_enabled()
        {
            return Err(Exception::GP0.into());
        }
        self.system.efer = value & !Efer::LMA.bits() | old & Efer::LMA.bits();
        if (old ^ value) & Efer::NXE.bits() != 0 {
            self.flush_translations(true);
        }
        self.settle();
        Ok(())
    }
}

/// Index of a fixed-range MTRR.
fn fixed_mtrr(number: u32) -> Option<usize> {
    match number {
        msr::MTRR_FIX64K_00000 => Some(0),
        0x258 | 0x259 => Some(1 + (number - 0x258) as usize),
        0x268..=0x26f => Some(3 + (number - 0x268) as usize),
        _ => None,
    }
}
