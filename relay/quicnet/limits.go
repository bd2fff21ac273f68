package quicnet

import (
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// quietAfter is for how long a peer may acknowledge nothing before it is quiet.
const quietAfter = 400 * time.Millisecond

// Every bound of the transport, with what happens at it.
const (
	// MaxMessage is the longest control message, in bytes. Sending a longer one
	// is a bug; receiving one hangs up on the peer.
	MaxMessage = 4096
	// MaxPacket is the longest gossip packet, in bytes: what fits into one
	// DATAGRAM on any path. SendPacket refuses a longer one.
	MaxPacket = 1150
	// MaxLanes is how many connections one node may have with us, either way: one
	// a stripe, and two. More are refused.
	MaxLanes = stripe.MaxShards + 2
	// MaxInbound is how many accepted connections there may be. More are refused.
	MaxInbound = 512
	// MaxOutbound is how many peers we may have dialled. One more closes the one
	// that has been unused for longest; if all are pinned, the dial fails.
	MaxOutbound = 128

	// eventQueue, packetQueue and streamQueue are the capacities of the channels
	// to the host. Events block their peer's reader, and QUIC pushes back; a
	// packet that finds no room is dropped; a stream is reset.
	eventQueue  = 1024
	packetQueue = 1024
	streamQueue = 64

	// controlQueue is how many messages may wait for one peer. A peer that does
	// not read its messages is hung up on.
	controlQueue = 256
	// datagramQueue is how many gossip packets may wait for one peer. What does
	// not fit is dropped: it is gossip.
	datagramQueue = 32
	// maxHeldPackets is how many gossip packets wait for a dial. More are dropped.
	maxHeldPackets = 4

	// maxDials is how many dials may be under way. More fail at once.
	maxDials = 64
	// maxAddrs is how many addresses of one dial are tried, and maxIPs how many
	// addresses of one name. The rest is not looked at.
	maxAddrs = 8
	maxIPs   = 4
	// maxLaneDials is how many lanes of one peer are dialled at a time. The others wait.
	maxLaneDials = 4
	// maxFailures is how many addresses are remembered not to answer. Further
	// ones are not remembered.
	maxFailures = 1024
	// maxDeaf is how many addresses are not heard. Further ones are heard.
	maxDeaf = 1024
	// maxPins is how many peers the host may pin. More are not pinned.
	maxPins = 1024

	// freeHandshakes a second come without a Retry, which costs the newcomer a
	// round trip and a forger the handshake; beyond maxHandshakes a second
	// newcomers are refused.
	freeHandshakes = 50
	maxHandshakes  = 100
	// maxHalfOpen is how many handshakes may be under way. More are refused.
	maxHalfOpen = 200
	// connRate and connBurst bound new connections from one IP (v6: one /56), a
	// second; nodesPerIP bounds the nodes behind it. More are refused. Loopback
	// is exempt from both.
	connRate   = 0.5
	connBurst  = 64
	nodesPerIP = 8
	// maxIPBuckets is how many IPs are metered. Others then go unmetered.
	maxIPBuckets = 4096

	// QUIC's own: streams open at a time, receive windows in bytes, and what all
	// connections together may add to their first windows. A window that may not
	// grow makes that peer slower.
	maxBidiStreams = 8
	maxUniStreams  = 64
	streamWindow   = 64 << 10
	streamWindowTo = 256 << 10
	connWindow     = 256 << 10
	connWindowTo   = 512 << 10
	windowBudget   = 64 << 20
	packetSize     = 1280

	// assemblyBudget is how many bytes of incomplete shards are held, and
	// peerAssembly how many of one peer. A shard that needs more is reset.
	assemblyBudget = 64 << 20
	peerAssembly   = 8 << 20
	// maxShardStream is a shard and its type byte. A longer stream hangs up on the peer.
	maxShardStream = stripe.MaxShardWire + 1
	// sentLimit is how many sent shards a lane remembers for resetting them when
	// they turn out late. Older ones are forgotten, and arrive late.
	sentLimit = 256
	// paddingPerPeer and paddingTotal are how many bytes of padding, of others'
	// probes, are read in a minute from one peer and from all. The stream that
	// brings more is reset. maxPadders is how many peers are counted; padding of
	// others is reset. A probe of ours sends a peer no more than paddingPerPeer.
	paddingPerPeer = 2 << 20
	paddingTotal   = 8 << 20
	maxPadders     = 256
	// probePeers and probeLanes are how many peers and lanes a probe goes to. The
	// others are left alone. paddingChunk is what is written or read at a time.
	probePeers   = 4
	probeLanes   = 8
	paddingChunk = 8 << 10
	// probeLeast is how many bytes must have come through for a probe to count.
	probeLeast = 16 << 10
	// minUplink and maxUplink are the least and the most bits a second that an uplink
	// is believed to carry: loopback and a LAN seem to carry any rate.
	minUplink = 250e3
	maxUplink = 100e6
	// uplinkShare of the uplink is used, and uplinkMost of it by a source whose
	// stream needs more.
	uplinkShare = 0.8
	uplinkMost  = 0.95
	// maxCuts is how often an estimate is cut by a tenth before it is measured again.
	maxCuts = 3
	// maxPanics a minute are survived, each at the cost of a peer. One more ends
	// the process.
	maxPanics = 10
	// maxReason is how much of a reason is sent or believed, in bytes. The rest is cut.
	maxReason = 120
)

const (
	// keepAlive is how often a silent connection is probed. One from which nothing
	// has come for idleTimeout is closed.
	keepAlive   = time.Second
	idleTimeout = 8 * time.Second
	// handshakeIdle is how long a handshake may be silent; it may take twice that.
	handshakeIdle = 3 * time.Second
	// dialTimeout is for one address; resolveTimeout for one name.
	dialTimeout    = 3 * time.Second
	resolveTimeout = 3 * time.Second
	// unusedTimeout is after how long a peer that carries nothing and that nobody
	// pinned is closed.
	unusedTimeout = 30 * time.Second
	// crowdedTimeout is the same while there are more peers than crowdedPeers: all who
	// come need one who is named in a link, and most of them for a moment only.
	crowdedTimeout = 5 * time.Second
	crowdedPeers   = relay.MaxPeers * 3 / 4
	// shardTimeout is how long a shard's stream may take to arrive, and a
	// bidirectional stream to say its type. Then it is reset.
	shardTimeout = 2500 * time.Millisecond
	// frameTimeout is how long a control frame may take from its first byte to
	// its last. Then the peer is hung up on.
	frameTimeout = 2 * time.Second
	// lateAfter is how long after it was sent a shard that has not been
	// acknowledged is reset.
	lateAfter = 2 * time.Second
	// restartAfter is the age from which a bundle cannot be the other half of two
	// simultaneous dials.
	restartAfter = 2 * handshakeIdle
	// retireAfter is how long a surplus lane stays for what is under way on it.
	retireAfter = 3 * time.Second
	// laneRetry and laneRetryTo are the pauses after a lane could not be dialled.
	laneRetry   = time.Second
	laneRetryTo = 30 * time.Second
	// gossipRetry is how long an address that failed twice is not dialled for a
	// gossip packet.
	gossipRetry = time.Minute
	// probeAfter is how long after the first peer the uplink is measured, and
	// probeTime how long that takes at most, after up to probeDial for further lanes.
	// A probe looks every probeTick, and takes
	// round trips that are probeQueue too long for a queue. It adds lanes probePause
	// after each other until there is one, and ends when it has stood for probeWindow
	// and 2*probeEnough bytes have come through. The best probeSpan with probeEnough
	// bytes counts.
	probeAfter  = 3 * time.Second
	probeTime   = 2 * time.Second
	probeTick   = 10 * time.Millisecond
	probeDial   = time.Second
	probePause  = 60 * time.Millisecond
	probeWindow = time.Second
	probeSpan   = 400 * time.Millisecond
	probeEnough = 250_000
	probeQueue  = 30 * time.Millisecond
	// probeRetry and probeRetryTo are the pauses after a probe that failed. Those
	// after one that did not are probeAgain to probeAgainTo, twice as long each time
	// that it found no more room, and until the cap has been in use for busyTime.
	probeRetry   = 70 * time.Second
	probeRetryTo = 10 * time.Minute
	probeAgain   = 5 * time.Minute
	probeAgainTo = time.Hour
	busyTime     = 30 * time.Second
	// queueRise is by how much round trips have grown when a queue stands, and
	// queueTime for how long. Then the estimate is cut, at most every cutPause; cuts
	// are forgotten after cutMemory without a queue.
	queueRise = 100 * time.Millisecond
	queueTime = 2 * time.Second
	cutPause  = 10 * time.Second
	cutMemory = time.Minute
	// paddingMinute is what paddingPerPeer and paddingTotal are for.
	paddingMinute = time.Minute
	// goodbye is how long Close waits for peers to have read what was sent.
	goodbye = 500 * time.Millisecond
	// housekeeping is how often limits that depend on time are looked at.
	housekeeping = 500 * time.Millisecond
)
