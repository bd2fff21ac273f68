package ffmpeg

import (
	"fmt"
	"runtime"
	"strings"
)

// sound is what transcoded sound takes, in bits a second.
const sound = 128_000

// arguments is ffmpeg's command line. What a person wrote stands behind -i only, and a file
// is opened as nothing but a file.
func arguments(job Job) []string {
	args := strings.Fields("-hide_banner -nostdin -nostats -loglevel warning")
	switch job.Kind {
	case File:
		args = append(args, "-protocol_whitelist", "file", "-i", "file:"+job.Input)
	case URL:
		if strings.HasPrefix(strings.ToLower(job.Input), "rtsp") {
			args = append(args, "-rtsp_transport", "tcp") // what is lost of it nobody sends again
		}
		args = append(args, "-i", job.Input)
	case Device:
		args = append(args, capture(runtime.GOOS, job.Input)...)
	default:
		panic(fmt.Sprintf("ffmpeg: kind %d", job.Kind))
	}
	// The first picture that is no cover, and all sound.
	args = append(args, "-map", "0:V:0?", "-map", "0:a?")
	if job.Rate == 0 {
		args = append(args, "-c", "copy")
	} else {
		args = append(args, transcode(job)...)
	}
	return append(args, "-f", "mpegts", "-flush_packets", "1", "pipe:1")
}

// capture is how a system's devices are opened.
func capture(system, device string) []string {
	switch system {
	case "darwin":
		return []string{"-f", "avfoundation", "-i", device}
	case "windows":
		return []string{"-f", "dshow", "-i", "video=" + device}
	}
	return []string{"-f", "v4l2", "-i", device}
}

// transcode is H.264 and AAC at the job's rate, with a picture to begin at every second.
func transcode(job Job) []string {
	video := fmt.Sprintf("%.0f", max(job.Rate-sound, job.Rate/2))
	args := []string{
		"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", video, "-maxrate", video, "-bufsize", video,
		"-force_key_frames", "expr:gte(t,n_forced)",
		"-c:a", "aac", "-b:a", fmt.Sprint(sound), "-ac", "2",
	}
	if job.Kind != File {
		args = append(args, "-tune", "zerolatency")
	}
	return args
}
