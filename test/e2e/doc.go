// Package e2e tests the built program: real processes that talk over loopback,
// told what to do by flags and looked at through what a person or a script sees
// of them: their output, their exit code and /api/status.
//
//	input ─▶ source ─▶ relays ─▶ viewers ─▶ file, stdout, HTTP ─▶ compared with input
//
// It holds tests only. Those that need ffmpeg, a player, curl or Chromium skip where one is
// missing, or fail there if STRIPECAST_REQUIRE_TOOLS is 1. STRIPECAST_FULL=1 runs
// them at full length, STRIPECAST_SOAK=10m runs the soak for that long. With
// STRIPECAST_BIN=/path/stripecast they test that program instead of building one.
package e2e
