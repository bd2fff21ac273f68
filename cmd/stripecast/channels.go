package main

import (
	"cmp"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

// channelGroup is under what players show the streams of ours.
const channelGroup = "stripecast"

// channels is the one channel of a viewer.
func (v *viewer) channels(link stripe.Link, h *host.Host) func() []httpd.Channel {
	return func() []httpd.Channel {
		c := httpd.Channel{ID: link.ID.String(), Name: cmp.Or(link.Name, httpd.DefaultName), Group: channelGroup, Path: httpd.PathStream, Logo: infoOf(h).Thumbnail}
		if media, ok := v.live.Media(); ok {
			c.Radio, c.Path = media.Radio(), httpd.NamePath(c.Name, media)
		}
		return []httpd.Channel{c}
	}
}
