"""Checksums, mixes, the chain's hash and the password's keyed tag (see digest.pxd)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ext.commands cimport CC_PIN_MAX
from ext.digest cimport CC_MIX_MAX, fingerprint64, iovec, mix64, mix128
from ext.records cimport cc_key, cc_record


cdef extern from "digest_impl.h" nogil:
    uint32_t cc_crc32c(uint32_t crc, const void *data, size_t length) noexcept
    void cc_crc32c_seal(cc_record *record, size_t n) noexcept
    size_t cc_crc32c_check(const cc_record *record, size_t n) noexcept
    uint32_t cc_crc32c_table(uint32_t crc, const void *data, size_t length) noexcept

cdef extern from "<openssl/params.h>" nogil:
    ctypedef struct OSSL_PARAM:
        pass
    OSSL_PARAM OSSL_PARAM_construct_utf8_string(
        const char *key, char *text, size_t size) noexcept
    OSSL_PARAM OSSL_PARAM_construct_end() noexcept

cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_MD:
        pass
    ctypedef struct EVP_MD_CTX:
        pass
    ctypedef struct EVP_MAC:
        pass
    ctypedef struct EVP_MAC_CTX:
        pass
    EVP_MD *EVP_MD_fetch(void *library, const char *name, const char *properties) noexcept
    EVP_MD_CTX *EVP_MD_CTX_new() noexcept
    void EVP_MD_CTX_free(EVP_MD_CTX *context) noexcept
    int EVP_DigestInit_ex2(
        EVP_MD_CTX *context, const EVP_MD *kind, const OSSL_PARAM *params) noexcept
    int EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t length) noexcept
    int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *out, unsigned int *size) noexcept
    EVP_MAC *EVP_MAC_fetch(void *library, const char *name, const char *properties) noexcept
    EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac) noexcept
    void EVP_MAC_CTX_free(EVP_MAC_CTX *context) noexcept
    int EVP_MAC_init(
        EVP_MAC_CTX *context, const unsigned char *key, size_t length,
        const OSSL_PARAM *params) noexcept
    int EVP_MAC_update(EVP_MAC_CTX *context, const unsigned char *data, size_t length) noexcept
    int EVP_MAC_final(
        EVP_MAC_CTX *context, unsigned char *out, size_t *size, size_t room) noexcept

cdef extern from "<openssl/crypto.h>" nogil:
    int CRYPTO_memcmp(const void *one, const void *other, size_t length) noexcept
    void OPENSSL_cleanse(void *secret, size_t length) noexcept

# Looked up once: a fetch takes a lock and searches the providers.
cdef EVP_MD *_sha256 = EVP_MD_fetch(NULL, b"SHA256", NULL)
cdef EVP_MAC *_hmac = EVP_MAC_fetch(NULL, b"HMAC", NULL)

if _sha256 == NULL or _hmac == NULL:
    raise ImportError("libcrypto offers no SHA-256 or no HMAC; install OpenSSL 3")


cdef uint32_t crc32c(uint32_t crc, const void *data, size_t length) noexcept nogil:
    return cc_crc32c(crc, data, length)


cdef void crc32c_seal(cc_record *record, size_t n) noexcept nogil:
    cc_crc32c_seal(record, n)


cdef size_t crc32c_check(const cc_record *record, size_t n) noexcept nogil:
    return cc_crc32c_check(record, n)


cdef void *sha256_new() noexcept nogil:
    return EVP_MD_CTX_new()


cdef void sha256_free(void *context) noexcept nogil:
    EVP_MD_CTX_free(<EVP_MD_CTX*>context)


cdef int sha256_vec(void *context, const iovec *part, int parts, uint8_t *out) noexcept nogil:
    """Write the 32-byte hash of all parts in order. 0, or -1 when libcrypto fails."""
    cdef EVP_MD_CTX *md = <EVP_MD_CTX*>context
    cdef int i
    if EVP_DigestInit_ex2(md, _sha256, NULL) != 1:
        return -1
    for i in range(parts):
        if EVP_DigestUpdate(md, part[i].iov_base, part[i].iov_len) != 1:
            return -1
    return 0 if EVP_DigestFinal_ex(md, out, NULL) == 1 else -1


cdef void *pin_mac_new(const uint8_t *key) noexcept nogil:
    """Make an HMAC-SHA256 context under the 32-byte key; NULL when libcrypto fails."""
    cdef OSSL_PARAM params[2]
    cdef EVP_MAC_CTX *mac = EVP_MAC_CTX_new(_hmac)
    if mac == NULL:
        return NULL
    params[0] = OSSL_PARAM_construct_utf8_string(b"digest", b"SHA256", 0)
    params[1] = OSSL_PARAM_construct_end()
    if EVP_MAC_init(mac, key, 32, params) != 1:
        EVP_MAC_CTX_free(mac)
        return NULL
    return mac


cdef void pin_mac_free(void *mac) noexcept nogil:
    EVP_MAC_CTX_free(<EVP_MAC_CTX*>mac)


cdef int _mac16(
    EVP_MAC_CTX *mac, const uint8_t *message, size_t length, uint8_t *tag,
) noexcept nogil:
    cdef uint8_t full[32]
    cdef size_t size = 0
    cdef int rc = -1
    # No key here: the context starts again from the one it was made with.
    if (EVP_MAC_init(mac, NULL, 0, NULL) == 1
            and EVP_MAC_update(mac, message, length) == 1
            and EVP_MAC_final(mac, full, &size, 32) == 1):
        memcpy(tag, full, 16)
        rc = 0
    OPENSSL_cleanse(full, 32)
    return rc


cdef int pin_mac(
    void *mac, uint32_t account, uint32_t version, const uint8_t *salt,
    const uint8_t *pin, uint8_t pin_len, uint8_t *tag,
) noexcept nogil:
    """HMAC("cc-pin-v1" | account | version | salt 8 | digits), its first 16 bytes. 0 or -1."""
    cdef uint8_t message[48]
    cdef int rc
    if pin_len > CC_PIN_MAX:
        return -1
    memcpy(message, <const char*>b"cc-pin-v1", 9)
    memcpy(message + 9, &account, 4)
    memcpy(message + 13, &version, 4)
    memcpy(message + 17, salt, 8)
    memcpy(message + 25, pin, pin_len)
    rc = _mac16(<EVP_MAC_CTX*>mac, message, 25 + <size_t>pin_len, tag)
    OPENSSL_cleanse(message, 48)
    return rc


cdef bint pin_mac_equal(const uint8_t *tag, const uint8_t *other) noexcept nogil:
    """Compare two 16-byte tags in a time that does not depend on them."""
    return CRYPTO_memcmp(tag, other, 16) == 0


cdef int key_check_value(const uint8_t *key, uint8_t *out) noexcept nogil:
    """HMAC(key, "cc-key-check-v1"), its first 16 bytes. 0, or -1 when libcrypto fails."""
    cdef void *mac = pin_mac_new(key)
    cdef int rc
    if mac == NULL:
        return -1
    rc = _mac16(<EVP_MAC_CTX*>mac, <const uint8_t*><const char*>b"cc-key-check-v1", 15, out)
    pin_mac_free(mac)
    return rc


cdef void wipe(void *secret, size_t length) noexcept nogil:
    OPENSSL_cleanse(secret, length)


# ---- the same for Python: known answers in tests, tools that verify a copy ----

def checksum(const uint8_t[::1] data, *, bint table=False):
    """Return the CRC32C of data; with `table`, computed without the processor's instruction."""
    cdef const void *start = &data[0] if data.shape[0] else NULL
    if table:
        return cc_crc32c_table(0, start, data.shape[0])
    return cc_crc32c(0, start, data.shape[0])


def row_mix(uint32_t table, uint32_t row, const uint8_t[::1] data):
    """Return the 128-bit mix of one row: the row's bytes without its stamp."""
    cdef uint64_t lo = 0, hi = 0
    if not 0 < data.shape[0] <= CC_MIX_MAX or data.shape[0] % 4:
        raise ValueError(f"a row is a multiple of 4 and at most {CC_MIX_MAX} bytes")
    mix128(table, row, &data[0], data.shape[0], &lo, &hi)
    return <object>hi << 64 | lo


def key_mix(
    uint32_t terminal, uint32_t batch_no, uint32_t terminal_seq,
    uint64_t seq_state, uint64_t fingerprint,
):
    """Return the 64-bit mix of one idempotency key."""
    cdef cc_key key
    key.seq_state = seq_state
    key.fingerprint = fingerprint
    return mix64(terminal, batch_no, terminal_seq, &key)


def body_fingerprint(const uint8_t[::1] data):
    """Return the 64-bit fingerprint of a command body; never 0."""
    return fingerprint64(&data[0] if data.shape[0] else NULL, data.shape[0])


def chain_hash(*parts: bytes):
    """Return the SHA-256 over all parts in order."""
    cdef iovec vector[8]
    cdef uint8_t out[32]
    cdef void *context
    cdef int i, rc
    if len(parts) > 8:
        raise ValueError("at most 8 parts")
    for i in range(len(parts)):
        vector[i].iov_base = <void*><const char*>parts[i]
        vector[i].iov_len = len(parts[i])
    context = sha256_new()
    rc = sha256_vec(context, vector, len(parts), out)
    sha256_free(context)
    if rc != 0:
        raise OSError("libcrypto failed")
    return (<char*>out)[:32]


def pin_tag(bytes key, uint32_t account, uint32_t version, bytes salt, bytes pin):
    """Return the 16-byte keyed tag of a transaction password."""
    cdef uint8_t tag[16]
    cdef void *mac
    cdef int rc
    if len(key) != 32 or len(salt) != 8 or len(pin) > CC_PIN_MAX:
        raise ValueError("key 32 bytes, salt 8 bytes, at most 12 digits")
    mac = pin_mac_new(key)
    if mac == NULL:
        raise OSError("libcrypto failed")
    rc = pin_mac(mac, account, version, salt, pin, <uint8_t>len(pin), tag)
    pin_mac_free(mac)
    if rc != 0:
        raise OSError("libcrypto failed")
    return (<char*>tag)[:16]


def key_check(bytes key):
    """Return the 16-byte check value of a 32-byte key."""
    cdef uint8_t out[16]
    if len(key) != 32:
        raise ValueError("key 32 bytes")
    if key_check_value(key, out) != 0:
        raise OSError("libcrypto failed")
    return (<char*>out)[:16]
