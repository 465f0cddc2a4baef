//! Flag instructions: CLC STC CMC CLD STD LAHF SAHF SALC, CLI STI, CLAC STAC.
//!
//! Source: Intel SDM vol. 2, the page of each mnemonic.

use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::table::rows;
use crate::target::{Rule, Step, Target};
use cutaway_isa::Width::{self, Byte};
use cutaway_isa::{Cr4, Rflags};

#[inline(always)]
fn by_rule<T: Target>(t: &mut T, name: &'static str, rule: Rule) -> Step<T> {
    let zero = t.constant(Byte, 0);
    let (_, status) = t.rule(name, rule, Byte, &zero, &zero);
    t.set_status(status);
    Ok(())
}

fn clc_rule(_: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    (a, flags.with(Rflags::CF, false))
}
fn stc_rule(_: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    (a, flags.with(Rflags::CF, true))
}
fn cmc_rule(_: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    (a, flags.symmetric_difference(Rflags::CF))
}
fn cld_rule(_: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    (a, flags.with(Rflags::DF, false))
}
fn std_rule(_: Width, a: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    (a, flags.with(Rflags::DF, true))
}
fn lahf_rule(_: Width, _: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    (flags.bits() & 0xd5 | 2, flags)
}
fn sahf_rule(_: Width, ah: u64, _: u64, flags: Rflags) -> (u64, Rflags) {
    let image = Rflags::from_bits_truncate(ah & 0xd5);
    let low = Rflags::STATUS.difference(Rflags::OF);
    (ah, flags.difference(low).union(image))
}

/// LAHF: AH := SF ZF 0 AF 0 PF 1 CF.
#[inline(always)]
fn lahf<T: Target>(t: &mut T) -> Step<T> {
    let zero = t.constant(Byte, 0);
    let (value, _) = t.rule("lahf", lahf_rule, Byte, &zero, &zero);
    t.set_ah(value);
    Ok(())
}

/// SAHF: SF ZF AF PF CF := AH.
#[inline(always)]
fn sahf<T: Target>(t: &mut T) -> Step<T> {
    let ah = t.ah();
    let (_, status) = t.rule("sahf", sahf_rule, Byte, &ah, &ah);
    t.set_status(status);
    Ok(())
}

/// SALC (undocumented, D6): AL := ff if CF, else 0.
#[inline(always)]
fn salc<T: Target>(t: &mut T) -> Step<T> {
    let carry = t.carry(Byte);
    let zero = t.constant(Byte, 0);
    let value = t.bin(crate::target::Bin::Sub, Byte, &zero, &carry);
    t.set_gpr(0, Byte, value);
    Ok(())
}

/// CLAC, STAC: EFLAGS.AC, which under SMAP lets CPL 0 reach user pages. #UD outside CPL 0 and
/// where the CPU has no SMAP.
fn set_ac(e: &mut Exec<'_>, on: bool) -> Result<(), Fault> {
    e.cpu.require(e.cpu.cpl() == 0)?;
    let flags = e.cpu.lazy.rflags().with(Rflags::AC, on);
    e.cpu.set_rflags(flags);
    Ok(())
}

/// CLI and STI where IOPL is too low: the virtual interrupt flag, or #GP(0) (SDM vol. 2, "CLI").
fn set_if(e: &mut Exec<'_>, on: bool) -> Result<(), Fault> {
    let flags = e.cpu.lazy.rflags();
    let cr4 = Cr4::from_bits_retain(e.cpu.system.cr4);
    if !e.cpu.is_protected() || e.cpu.cpl() <= flags.iopl() {
        e.cpu.set_rflags(flags.with(Rflags::IF, on));
        if on && !flags.contains(Rflags::IF) {
            e.cpu.activity.sti_shadow = true;
        }
        return Ok(());
    }
    let virtual_flag = if e.cpu.is_virtual_8086() {
        cr4.contains(Cr4::VME)
    } else {
        cr4.contains(Cr4::PVI) && e.cpu.cpl() == 3
    };
    if !virtual_flag || on && flags.contains(Rflags::VIP) {
        return Err(Exception::GP0.into());
    }
    e.cpu.set_rflags(flags.with(Rflags::VIF, on));
    Ok(())
}

rows! {
    implied Clc => by_rule("clc", clc_rule);
    implied Stc => by_rule("stc", stc_rule);
    implied Cmc => by_rule("cmc", cmc_rule);
    implied Cld => by_rule("cld", cld_rule);
    implied Std => by_rule("std", std_rule);
    implied Lahf => lahf();
    implied Sahf => sahf();
    implied Salc => salc();
    exec Cli => |e| set_if(e, false);
    exec Sti => |e| set_if(e, true);
    exec Clac => |e| set_ac(e, false);
    exec Stac => |e| set_ac(e, true);
}
