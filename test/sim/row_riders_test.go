package sim

import (
	"fmt"
	"testing"
	"time"
)

// riderRows are the rows about who takes and does not give.
func riderRows() []row {
	return []row{
		{id: "A18", what: "60 viewers want 1.2 × the slots there are, half of them give none", target: "who gives BL 0", run: runRiders, seeds: 3},
	}
}

// runRiders: those who give nothing are there first. k stripes for everybody would be
// 1.2 times what there is. When all is settled one more comes who gives.
func runRiders(_ *testing.T, seed uint64) figures {
	cfg := profile(seed)
	w := New(cfg)
	w.AddSource(4 * cfg.Rate)
	const each = 30
	slots := int(2*each*float64(cfg.Layout.K)/1.2) - 40 // of those the source has as many
	for i := range each {
		w.After(w.between(0, 4*time.Second), func() { w.AddViewer(fmt.Sprintf("rider%d", i), 0) })
		w.After(w.between(2*time.Second, 8*time.Second), func() { w.AddViewer(fmt.Sprintf("giver%d", i), w.uplinkFor(slots/each)) })
	}
	w.Run(2 * settled)
	w.audit.fates.some = nil
	w.Run(30 * time.Second)
	w.AddViewer("giver last", w.uplinkFor(slots/each))
	w.Run(30 * time.Second)
	f := missed(w, 2*settled, w.all("rider")...)
	f.ttr, f.never = nil, 0 // riders' too, and nobody has a stripe for each of them
	poor := w.Missed(2*settled, append(w.all("giver"), w.source.Node)...)
	f.other = fmt.Sprintf("who gives nothing plays %.0f %%, %d of %d all", 100*(1-poor.BL()), poor.Lossless, each)
	f.unseen(w)
	return f
}
