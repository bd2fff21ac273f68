package stripe

import "time"

// Every bound on what this package accepts. A value over its bound is refused
// when parsed; nothing is clamped silently.
const (
	// MaxShards is the largest n = k + m of a layout.
	MaxShards = 64
	// MaxBlock is the largest block, in bytes of stream. The cutter closes a
	// block that reaches it.
	MaxBlock = 1 << 20
	// MaxShardWire is the largest encoded shard: one that holds a whole block
	// (k = 1), its header, signature and path.
	MaxShardWire = MaxBlock + shardFixed + pathNode*maxPath + ShardUnit
	// ShardUnit is what a shard's length is a multiple of, in bytes. The coder
	// is fastest on whole 64-byte lanes.
	ShardUnit = 64
	// MinBlockTime is the shortest T. It bounds how many signatures a second a
	// stream can ask of those who carry it.
	MinBlockTime = 10 * time.Millisecond
	// MaxBlockTime is the longest block an automatic choice makes.
	MaxBlockTime = 500 * time.Millisecond
	// MaxHosts is how many host:port a link may name.
	MaxHosts = 8
	// MaxName is the longest stream name, in bytes.
	MaxName = 64
	// MaxTitle and MaxDescription are the longest text of what plays and of what the
	// stream is, in bytes.
	MaxTitle       = 128
	MaxDescription = 255
	// MaxThumbnail is the longest URL of a stream's picture, in bytes.
	MaxThumbnail = 255

	maxPath = 6 // log2(MaxShards)
)
