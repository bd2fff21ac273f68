package ts

import "slices"

// TableCache keeps the packets of a stream's last PAT and PMTs, for whoever begins
// at a block that does not begin with them. The zero value is ready.
type TableCache struct {
	psi   PSI
	asm   []tablePID
	units []unit
}

// unit is a run of packets of one PID from the start of a section to where none is
// under way.
type unit struct {
	pid     PID
	key     [2]byte // number and low ID byte of its first section
	packets []byte
}

type tablePID struct {
	pid  PID
	asm  assembler
	cur  unit
	good bool // cur has begun with a section that is undamaged so far
}

// HasTables reports whether block begins with a PAT.
func HasTables(block []byte) bool {
	return len(block) >= PacketLen && block[0] == syncByte && Packet(block[:PacketLen]).PID() == pidPAT
}

// Push takes the next block of the stream, of whole packets.
func (t *TableCache) Push(block []byte) {
	for ; len(block) >= PacketLen; block = block[PacketLen:] {
		p := Packet(block[:PacketLen])
		pid := p.PID()
		if p[0] != syncByte || p.Damaged() || pid != pidPAT && !t.psi.IsMap(pid) {
			continue
		}
		if t.psi.Push(p) && pid == pidPAT {
			t.forget()
		}
		t.keep(pid, p)
	}
}

// forget drops what is of no PID in the PAT in force.
func (t *TableCache) forget() {
	gone := func(pid PID) bool { return pid != pidPAT && !t.psi.IsMap(pid) }
	t.units = slices.DeleteFunc(t.units, func(u unit) bool { return gone(u.pid) })
	t.asm = slices.DeleteFunc(t.asm, func(a tablePID) bool { return gone(a.pid) })
}

func (t *TableCache) keep(pid PID, p Packet) {
	i := slices.IndexFunc(t.asm, func(a tablePID) bool { return a.pid == pid })
	if i < 0 {
		if len(t.asm) == maxUnits {
			return
		}
		t.asm = append(t.asm, tablePID{pid: pid, cur: unit{pid: pid}})
		i = len(t.asm) - 1
	}
	a := &t.asm[i]
	if a.asm.idle() {
		a.cur.packets, a.good = a.cur.packets[:0], false
	}
	fresh := !a.good
	for sec := a.asm.first(p); sec != nil; sec = a.asm.next() {
		if !usable(sec) {
			fresh, a.good = false, false
		} else if fresh {
			a.cur.key, fresh, a.good = [2]byte{sec[6], sec[4]}, false, true
		}
	}
	if p.HasPayload() && len(a.cur.packets) <= maxUnit*PacketLen {
		a.cur.packets = append(a.cur.packets, p...)
	}
	if a.good && a.asm.idle() && len(a.cur.packets) <= maxUnit*PacketLen {
		t.store(&a.cur)
	}
}

func (t *TableCache) store(u *unit) {
	i := slices.IndexFunc(t.units, func(o unit) bool { return o.pid == u.pid && o.key == u.key })
	if i < 0 {
		if len(t.units) == maxUnits {
			return
		}
		t.units = append(t.units, unit{pid: u.pid, key: u.key})
		i = len(t.units) - 1
	}
	t.units[i].packets = append(t.units[i].packets[:0], u.packets...)
}

// AppendTo appends the packets of the PAT and then of the PMTs to dst.
func (t *TableCache) AppendTo(dst []byte) []byte {
	for _, u := range t.units {
		if u.pid == pidPAT {
			dst = append(dst, u.packets...)
		}
	}
	for _, u := range t.units {
		if u.pid != pidPAT {
			dst = append(dst, u.packets...)
		}
	}
	return dst
}

// Prologue is the tables in the blocks before a block, oldest first: what a decoder
// needs that begins with a block which does not begin with them.
func Prologue(before [][]byte, block []byte) []byte {
	if HasTables(block) {
		return nil
	}
	t := &TableCache{}
	for _, b := range before {
		t.Push(b)
	}
	return t.AppendTo(nil)
}
