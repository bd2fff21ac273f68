package gossip

import "fmt"

// Reason says why the guard refused a message or one node of an exchange.
type Reason uint8

// The reasons, in the order of Pool.Refused.
const (
	Malformed      Reason = iota // does not parse
	TooLong                      // over a limit on size or number
	Forbidden                    // a kind of message that the pool does not use
	TooFast                      // over a rate of its peer
	NotForUs                     // a ping of another name
	WrongSource                  // speaks for another node
	BadVersion                   // a protocol that we do not speak
	BadRecord                    // no valid record signed by that node
	StaleRecord                  // a newer record is known
	UnknownNode                  // an accusation or a request about nobody known
	BadIncarnation               // beyond what the node can have reached
	Full                         // no room for one more node

	reasons = int(Full) + 1
)

var reasonText = [reasons]string{
	"malformed", "too-long", "forbidden", "too-fast", "not-for-us", "wrong-source",
	"bad-version", "bad-record", "stale-record", "unknown-node", "bad-incarnation", "full",
}

// String is one word, fit for a metric's label.
func (r Reason) String() string {
	if int(r) < reasons {
		return reasonText[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// refusal is the error by which the guard refuses.
type refusal struct{ Reason }

func (r refusal) Error() string { return "refused: " + r.Reason.String() }

func refuse(r Reason) error { return refusal{r} }
