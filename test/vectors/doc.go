// Package vectors holds PROTOCOL.md to the code: every vector in the document is
// made again from fixed seeds, decoded, and encoded again; every refusal in it is
// refused for the reason it gives; every limit in its tables has the value that
// the code has. It has tests only.
//
// It knows no layout of its own. Where the bytes in the document and the bytes of
// the code differ, one of the two is wrong, and the test says where.
package vectors
