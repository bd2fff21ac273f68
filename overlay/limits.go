package overlay

import "time"

// Every bound and default time of this package.
const (
	// MaxMessage is the longest encoded message, in bytes. A longer one ends the
	// connection.
	MaxMessage = 4096
	// MaxDepth is the most hops from the source at which children are still
	// let in; a path is no longer.
	MaxDepth = 6
	// MaxAlternatives is how many other parents a refusal names.
	MaxAlternatives = 4
	// MaxSample is how many records an answer to Ask holds.
	MaxSample = 16
	// MaxRedirects is how many refusals' alternatives are followed in one search.
	MaxRedirects = 4
	// MaxTried is how many candidates one round of a search asks.
	MaxTried = 24
	// Choice is among how many candidates, drawn by chance, the best is taken.
	Choice = 5
	// Roots is how many relays the source feeds in each stripe, when its uplink
	// allows it; more only if they found no other parent.
	Roots = 2

	// answerWait is how long a connected candidate may think about a request
	// before the next is asked as well.
	answerWait = 250 * time.Millisecond
	// dialWait is the same for one that must be dialled first.
	dialWait = 600 * time.Millisecond
	// giveUp is how long an unanswered request is waited for at all.
	giveUp = 3 * time.Second
	// searchPause separates two rounds of a search that found nobody; it doubles
	// up to searchPauseMax.
	searchPause    = 200 * time.Millisecond
	searchPauseMax = 5 * time.Second
	// silentMin is the least silence that condemns a parent while other stripes
	// progress.
	silentMin = 300 * time.Millisecond
	// stillMin is the least silence that makes us look elsewhere when nothing
	// progresses at all.
	stillMin = time.Second
	// tidyEvery is how often stripes taken from the source for want of a relay
	// look for one, and home stripes are reconsidered.
	tidyEvery = time.Second
	// shedTime is how long children of a home stripe that is given up are still fed.
	shedTime = 3 * time.Second
	// farewell is how long a participant that leaves still feeds its children.
	farewell = 600 * time.Millisecond
)
