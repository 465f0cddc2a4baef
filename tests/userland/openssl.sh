# OpenSSL against itself and against known answers. Keys and signatures are new each time, so
# only whether they fit is printed.

key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
iv=f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff

for digest in md5 sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-256 sha3-512 shake128 \
    blake2b512 blake2s256 ripemd160 sm3; do
    openssl dgst "-$digest" both
done
openssl dgst -sha256 -hmac key both
openssl dgst -sha1 -hmac key both
openssl mac -cipher aes-256-cbc -macopt "hexkey:$key" -in both CMAC
openssl mac -macopt "hexkey:$key" -in both poly1305

# AES-128, FIPS 197 appendix C.1.
printf '\000\021\042\063\104\125\146\167\210\231\252\273\314\335\356\377' |
    openssl enc -aes-128-ecb -nopad -K 000102030405060708090a0b0c0d0e0f | od -A n -t x1

for cipher in aes-128-ecb aes-128-cbc aes-192-cbc aes-256-cbc aes-128-ctr aes-256-ctr \
    aes-256-cfb aes-128-ofb chacha20 camellia-256-cbc aria-128-ctr sm4-cbc des-ede3-cbc; do
    size=64
    case $cipher in
        aes-128*|aria*|sm4*) size=32 ;;
        aes-192*|des*) size=48 ;;
    esac
    short=$(echo $key | cut -c1-$size)
    vector="-iv $iv"
    case $cipher in
        *ecb) vector= ;;
        des*) vector="-iv f0f1f2f3f4f5f6f7" ;;
    esac
    openssl enc -e "-$cipher" -K "$short" $vector -in both -out sealed
    openssl enc -d "-$cipher" -K "$short" $vector -in sealed -out opened
    cmp both opened && echo "$cipher $(sha256sum < sealed)"
done
openssl enc -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -pass pass:secret -in both |
    sha256sum
openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:password -kdfopt hexsalt:73616c74 \
    -kdfopt iter:4096 PBKDF2
openssl kdf -keylen 32 -kdfopt pass:password -kdfopt salt:NaCl -kdfopt n:512 -kdfopt r:8 \
    -kdfopt p:1 SCRYPT
openssl prime 170141183460469231731687303715884105727 170141183460469231731687303715884105729

sign_and_verify() {
    name=$1
    shift
    openssl genpkey "$@" -quiet -out "$name.key" && openssl pkey -in "$name.key" -pubout \
        -out "$name.pub"
    openssl pkey -in "$name.key" -check -noout
    openssl pkeyutl -sign -rawin -in small -inkey "$name.key" -out "$name.sig" $digest
    # The other file must not fit; why not is said with the number of a thread.
    for file in small text; do
        openssl pkeyutl -verify -rawin -in $file -pubin -inkey "$name.pub" -sigfile "$name.sig" \
            $digest 2>/dev/null | sed "s/^/$name $file: /"
    done
}
digest='-digest sha256'
sign_and_verify rsa -algorithm RSA -pkeyopt rsa_keygen_bits:1536
sign_and_verify p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
sign_and_verify p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
sign_and_verify koblitz -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
digest=
sign_and_verify ed25519 -algorithm ED25519

# Both sides of a key agreement.
for curve in X25519 X448; do
    for side in a b; do
        openssl genpkey -algorithm $curve -out $side.key
        openssl pkey -in $side.key -pubout -out $side.pub
    done
    openssl pkeyutl -derive -inkey a.key -peerkey b.pub -out a.secret
    openssl pkeyutl -derive -inkey b.key -peerkey a.pub -out b.secret
    cmp a.secret b.secret && echo "$curve agrees on $(wc -c < a.secret) bytes"
done

# RSA both ways, and a certificate.
head -c 100 text > message
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:oaep -in message \
    -out message.rsa
openssl pkeyutl -decrypt -inkey rsa.key -pkeyopt rsa_padding_mode:oaep -in message.rsa | cmp - \
    message && echo 'RSA gives back what it got'
