package quicnet

import (
	"time"

	"github.com/stripecast/stripecast/stripe"
)

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
	// goodbye is how long Close waits for peers to have read what was sent.
	goodbye = 500 * time.Millisecond
	// housekeeping is how often limits that depend on time are looked at.
	housekeeping = 500 * time.Millisecond
)
