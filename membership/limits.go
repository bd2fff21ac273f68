package membership

import "time"

// Every bound and default time of this package.
const (
	// MaxRecord is the longest encoded record, in bytes; it must fit memberlist's
	// 512 bytes of metadata. A longer one is refused.
	MaxRecord = 512
	// MaxAddrs is how many addresses a record may name.
	MaxAddrs = 4
	// MaxStreams is how many streams a record may list, and a node may carry.
	MaxStreams = 4
	// MaxTTL is how long a record may ask to be kept. A longer one is cut to it.
	MaxTTL = 30 * time.Minute
	// MaxBook is how many records the book keeps, besides those of connected nodes. When
	// it is full the expired go, then one whose last dial failed; if there is none the
	// newcomer is refused.
	MaxBook = 2048
	// MaxSampled is the same for one who hears no gossip but asks for samples. Then one
	// that came longest ago goes too, if that is sampleKept.
	MaxSampled = 256
	sampleKept = 30 * time.Second
	// askSoon is how soon one who hears no gossip asks for records again; the time
	// doubles each time up to askSeldom. Who lacks parents and has fewer than fewKnown
	// records asks askNeedy peers at a time, and askSoon again if that brought new ones.
	askSoon   = 500 * time.Millisecond
	askSeldom = 5 * time.Second
	askNeedy  = 3
	fewKnown  = 64
	// announceEvery is the least time between two records of ours; the time doubles
	// each time up to nearEach for every node known, nearMost at the most, for what
	// neighbours are told, and up to farEach for every node known for what the pool is
	// told: what a member sends grows with the pool's records a second.
	announceEvery = 500 * time.Millisecond
	nearEach      = 5 * time.Millisecond
	nearMost      = 5 * time.Second
	farEach       = 100 * time.Millisecond
	// announceAgain is the most time between two records of ours.
	announceAgain = 8 * time.Minute
	// recordTTL is for how long a record of ours asks to be kept.
	recordTTL = 25 * time.Minute
	// MaxDialFailures is how many failed dials in a row begin a DialBackoff.
	MaxDialFailures = 2
	// DialBackoff is how long nobody is dialled again after MaxDialFailures.
	DialBackoff = 60 * time.Second
)
