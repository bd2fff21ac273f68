package wide

import (
	"fmt"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// What a message takes as it travels, beside records, info and path.
const (
	aboutStream = 1 + len(stripe.ID{})
	aboutStripe = aboutStream + 1
	eachHop     = len(membership.ShortID{})
	eachRecord  = 2 // its length
	aboutTag    = 1 + len(stripe.Tag{})
	eachReceipt = 32 + 4 + 2 + 64
)

// sizeOf is a message's kind, and how long it is when it is encoded.
func sizeOf(m overlay.Message) (kind, bytes int) {
	switch m := m.(type) {
	case *overlay.Hello:
		return 1, 1 + eachRecord + len(m.Record)
	case *overlay.Ask:
		return 2, aboutStream
	case *overlay.Sample:
		return 3, aboutStream + 2 + len(m.Info) + sizeOfRecords(m.Records)
	case *overlay.Subscribe:
		return 4, aboutStripe + 1 + 6 + 2 + 1
	case *overlay.Accept:
		return 5, aboutStripe + 1 + eachHop*len(m.Path)
	case *overlay.Refuse:
		return 6, aboutStripe + 1 + sizeOfRecords(m.Alternatives)
	case *overlay.Leave:
		return 7, aboutStripe
	case *overlay.Drop:
		return 8, aboutStripe + 1 + sizeOfRecords(m.Alternatives)
	case *overlay.Route:
		return 9, aboutStripe + 1 + eachHop*len(m.Path)
	case *overlay.Repairing:
		return 10, aboutStripe
	case *overlay.Live:
		return 11, aboutStripe
	case *overlay.Promise:
		return 12, aboutStripe + 1 + eachHop*len(m.Path)
	case *overlay.Show:
		return 20, aboutTag
	case *overlay.Receipts:
		return 21, aboutTag + 4 + 1 + eachReceipt*len(m.Of)
	}
	panic(fmt.Sprintf("wide: %T", m))
}

func sizeOfRecords(records [][]byte) int {
	n := 1
	for _, raw := range records {
		n += eachRecord + len(raw)
	}
	return n
}
