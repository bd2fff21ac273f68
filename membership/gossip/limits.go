package gossip

import "time"

// Every bound of this package.
const (
	// MaxPacket is the longest packet, in bytes, sent or accepted: what fits a
	// QUIC DATAGRAM on any path. A longer one is refused whole.
	MaxPacket = 1150
	// MaxParts is how many messages a packet may join. More are refused whole.
	MaxParts = 16
	// MaxNodes is how many nodes one exchange of state may name. In a bigger
	// pool each side sends a random choice; an offer of more is refused.
	MaxNodes = 512
	// MaxExchange is how many bytes are read from one stream. A longer message
	// is refused.
	MaxExchange = 512 << 10
	// MaxErrorText is how much of a remote error is kept, in bytes; one with
	// more is refused.
	MaxErrorText = 256
	// MaxMembers is how many nodes may be known at once, living or recently
	// dead. A newcomer over it is refused until somebody is forgotten.
	MaxMembers = 2000
	// MaxPerIP and MaxPerNetwork are how many of them may name one first address
	// (IPv6: one /56) and one network (IPv4 /24, IPv6 /48), and MaxHere how many
	// our own address. The next one is refused. They also bound how many we dial
	// at a third party whose address strangers put into their records.
	MaxPerIP      = 8
	MaxPerNetwork = 64
	MaxHere       = 256
	// MaxPeers is for how many peers rates are kept. A new peer over it replaces
	// one that was idle for PeerIdle; if there is none its messages are refused.
	MaxPeers = 1024
	// MaxStreams is how many streams opened by others are read at once; a
	// further one is closed.
	MaxStreams = 32
	// MaxPeerStreams is how many of them one peer may have.
	MaxPeerStreams = 2
	// MaxAccusers is of how many peers it is kept when they accused one node. The
	// one longest ago is forgotten.
	MaxAccusers = 16
	// MaxJoin is how many addresses a Join contacts. Later ones are left out.
	MaxJoin = 16
	// MaxGoodbyes is how many members a leaver tells itself. The others suspect
	// it for some seconds first.
	MaxGoodbyes = 64
	// MaxEvents is how many events wait for the host. When they are full a
	// record is offered again at its next sighting; a rumour is lost.
	MaxEvents = 1024
	// MaxIncarnation bounds every incarnation number. One at or over it is refused.
	MaxIncarnation = 1 << 31
	// MaxLearned bounds the incarnation that we take from others as having been
	// our own, in the LearnTime after a start or a join. A higher one is refused.
	MaxLearned = 1 << 30
)

// The rates of one peer: per second, and how many at once. What is over them is
// refused and not queued.
const (
	// RecordRate counts records that were not known already: each costs a
	// signature check. The burst is the exchange of a join.
	RecordRate, RecordBurst = 50, MaxNodes
	// MessageRate counts messages in packets.
	MessageRate, MessageBurst = 200, 400
	// StreamRate counts streams opened towards us: an exchange answers a few
	// bytes with up to MaxExchange.
	StreamRate, StreamBurst = 0.5, 6
)

const (
	// SlackBurst and SlackRate bound how far others can raise a node's
	// incarnation: by SlackBurst, and SlackRate a second since we know it.
	SlackBurst, SlackRate = 64, 8
	// OwnRate is the SlackRate for our own. It is higher, so that we can always
	// go beyond what others were made to believe of us.
	OwnRate = 16
	// LearnTime is how long after a start or a join we believe others about the
	// incarnation that we had before a restart.
	LearnTime = 60 * time.Second
	// meetAfter, and up to twice, is how long after a join we exchange with one more.
	meetAfter = 2 * time.Second
	// ForgetAfter is how long a node is kept that memberlist does not hold.
	ForgetAfter = 60 * time.Second
	// PeerIdle is after how much silence a peer's rates may be forgotten.
	PeerIdle = 60 * time.Second
	// AccuseEvery is how soon a peer may accuse the same node again, in a newer
	// incarnation; one too soon is refused. AccuseUsEvery is the same for us, who
	// must answer before a suspicion's shortest time of 4 s is over.
	AccuseEvery, AccuseUsEvery = 10 * time.Second, 2 * time.Second
	// SpreadEvery is the shortest time between two of our records. Those set
	// in between are replaced by the last.
	SpreadEvery = time.Second
)
