use cutaway_silicon::*; use cutaway_silicon::generate::*;
fn main(){
  let a:Vec<String>=std::env::args().collect(); let n:u64=a[3].parse().unwrap(); let bits:u32=a[2].parse().unwrap();
  let mut o=oracle::Oracle::new().unwrap(); let mut j=judge::Judge::new(check::MODEL).unwrap();
  for f in forms::all(){ if f.size.bits()!=bits||!f.name().to_lowercase().contains(&a[1].to_lowercase())||!forms::host_has(f.code){continue;}
    let g=Generator::with_seed(f,5); let made:Vec<_>=(0..n).filter_map(|i|g.generate(i)).collect();
    let cases:Vec<_>=made.iter().map(|g|g.case).collect();
    for (g,mut s) in made.iter().zip(o.run(&cases).unwrap()) {
      compare::normalise(g,&mut s); let e=*j.outcome(g); let same=compare::same(&s,&e);
      let regs=|r:&[u64;16]|r.iter().map(|x|format!("{x:x}")).collect::<Vec<_>>().join(",");
      let i=&g.encoding.instruction;
      let ea=i.virtual_address(0,0,|r,_,_| { if r.is_segment_register(){ return Some(if g.case.bits==64 {0} else {place::base(g.case.registers.selectors[(r as usize - iced_x86::Register::ES as usize)])}) } let v=g.case.registers.gpr[r.number()]; Some(match r.size(){2=>v&0xffff,4=>v&0xffffffff,_=>v}) }).unwrap_or(0);
      let ea2=i.virtual_address(1,0,|r,_,_| { if r.is_segment_register(){ return Some(if g.case.bits==64 {0} else {place::base(g.case.registers.selectors[(r as usize - iced_x86::Register::ES as usize)])}) } let v=g.case.registers.gpr[r.number()]; Some(match r.size(){2=>v&0xffff,4=>v&0xffffffff,_=>v}) }).unwrap_or(0);
      println!("DUMP {} | {} | {:x},{:x},{:x} | {} | {:x} | {:x},{:x} | {} | {:x} | {} | {:x},{:x},{:x}", f.label(), compare::disassemble(&g.case), s.ending.vector, s.ending.error, s.ending.address, regs(&g.case.registers.gpr), g.case.registers.rflags, ea,ea2, regs(&s.registers.gpr), s.registers.rflags, same, e.ending.vector,e.ending.error,e.ending.address);
    } } }
