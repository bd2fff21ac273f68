package sim

import (
	"fmt"
	"testing"
	"time"
)

// riderRows are the rows about who takes and does not give.
func riderRows() []row {
	return []row{
		{id: "A18", what: "40 viewers want 1.2 × the upload there is, half of them give none", target: "who gives BL 0", run: runRiders, seeds: 2},
	}
}

// runRiders: those who give nothing are there first. The stream and its proof to
// everybody would be 1.2 times what all can send together, pull's share among it. When
// all is settled one more comes who gives.
func runRiders(_ *testing.T, seed uint64) figures {
	const each = 20
	cfg := profile(seed)
	w := New(cfg)
	w.AddSource(4 * cfg.Rate)
	up := (2*each*1.1*cfg.Rate/1.2 - 4*cfg.Rate) / each
	for i := range each {
		w.After(w.between(0, 4*time.Second), func() { w.AddViewer(fmt.Sprintf("rider%d", i), 0) })
		w.After(w.between(2*time.Second, 8*time.Second), func() { w.AddViewer(fmt.Sprintf("giver%d", i), up) })
	}
	w.Run(2 * settled)
	w.audit.fates.some = nil // those of its beginning
	w.Run(15 * time.Second)
	w.AddViewer("giver last", up)
	w.Run(15 * time.Second)
	f := missed(w, 2*settled, w.all("rider")...)
	f.ttr, f.never = nil, 0 // riders' are among them, for whom there is not enough
	poor := w.Missed(2*settled, append(w.all("giver"), w.source.Node)...)
	f.other = fmt.Sprintf("%d of %d who give nothing play without a gap, all of them %.0f %% of what is due", poor.Lossless, each, 100*(1-poor.BL()))
	f.unseen(w)
	return f
}
