// Writes keys and messages as go-crypto makes them, the library that sops encrypts with.
//
//	go-crypto DIRECTORY < DATA
//
// For each kind of key KIND.key, and messages for it, KIND-WAY.message.
package main

import (
	"bytes"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	data, err := io.ReadAll(os.Stdin)
	check(err)
	kinds := []struct {
		name   string
		config packet.Config
	}{
		{"v6-x25519", packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd25519}},
		{"v6-rsa", packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}},
		{"v6-nistp256", packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256}},
		{"v4-x25519", packet.Config{Algorithm: packet.PubKeyAlgoEd25519}},
		{"v4-rsa", packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}},
		{"v4-curve25519", packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519}},
		{"v4-nistp521", packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP521}},
		{"v4-brainpool", packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveBrainpoolP256}},
	}
	ways := []struct {
		name   string
		mode   packet.AEADMode
		config packet.Config
		hidden bool
	}{
		{"plain", 0, packet.Config{}, false},
		{"zlib", 0, packet.Config{DefaultCompressionAlgo: packet.CompressionZLIB}, false},
		{"zip-hidden", 0, packet.Config{DefaultCompressionAlgo: packet.CompressionZIP}, true},
		{"aes128", 0, packet.Config{DefaultCipher: packet.CipherAES128}, false},
		{"ocb", packet.AEADModeOCB, packet.Config{}, false},
		{"eax-hidden", packet.AEADModeEAX, packet.Config{}, true},
		{"gcm-zlib", packet.AEADModeGCM, packet.Config{DefaultCompressionAlgo: packet.CompressionZLIB}, false},
	}
	for _, kind := range kinds {
		config := kind.config
		config.AEADConfig = &packet.AEADConfig{}
		key, err := openpgp.NewEntity(kind.name, "", "", &config)
		check(err)
		var text bytes.Buffer
		armored, err := armor.Encode(&text, "PGP PRIVATE KEY BLOCK", nil)
		check(err)
		check(key.SerializePrivate(armored, &config))
		check(armored.Close())
		write(kind.name+".key", text.Bytes())
		for _, way := range ways {
			// What is wanted decides less than what the key says that it can.
			self := key.DirectSignatures
			for _, identity := range key.Identities {
				self = append(self, identity.SelfCertifications...)
			}
			for _, signature := range self {
				signature.Packet.SEIPDv2 = way.mode != 0
				signature.Packet.PreferredCipherSuites = [][2]uint8{{uint8(packet.CipherAES256), uint8(way.mode)}}
				signature.Packet.PreferredCompression = []uint8{0, 1, 2}
			}
			config := way.config
			if way.mode != 0 {
				config.AEADConfig = &packet.AEADConfig{DefaultMode: way.mode}
			}
			to, hidden := []*openpgp.Entity{key}, []*openpgp.Entity(nil)
			if way.hidden {
				to, hidden = hidden, to
			}
			var text bytes.Buffer
			armored, err := armor.Encode(&text, "PGP MESSAGE", nil)
			check(err)
			plain, err := openpgp.Encrypt(armored, to, hidden, nil, nil, &config)
			check(err)
			_, err = plain.Write(data)
			check(err)
			check(plain.Close())
			check(armored.Close())
			write(kind.name+"-"+way.name+".message", text.Bytes())
		}
	}
}

func write(name string, text []byte) {
	check(os.WriteFile(filepath.Join(os.Args[1], name), text, 0o600))
}
