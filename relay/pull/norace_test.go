//go:build !race

package pull

const underRace = false
