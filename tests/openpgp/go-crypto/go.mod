module go-crypto

require github.com/ProtonMail/go-crypto v1.4.1
