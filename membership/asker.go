package membership

import "time"

// Asker says when one who hears no gossip asks peers for samples of their books, and
// how many of them. Its pauses double up to askSeldom.
//
// Who lacks parents and knows few asks several at a time, and soon again if somebody
// was new to it: those it is connected to may be as ignorant, and then knowledge comes
// to all of them by whoever meets one that knows more. Where nobody has room it does
// not: the few there are it knows soon, and no answer brings another.
// The zero value is ready.
type Asker struct {
	pause time.Duration
	knew  int
}

// Hurry makes the next pause the shortest: there is something new to ask for.
func (a *Asker) Hurry() { a.pause = 0 }

// Next is how many peers to ask now, and how long to wait then. The book holds known
// records; needy says that a stream's parents are too few to play it.
func (a *Asker) Next(known int, needy bool) (peers int, pause time.Duration) {
	peers = 1
	if needy && known < fewKnown {
		peers = askNeedy
		if known > a.knew {
			a.pause = 0
		}
		a.knew = known
	}
	a.pause = min(max(2*a.pause, askSoon), askSeldom)
	return peers, a.pause
}
