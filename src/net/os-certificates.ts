/** Where systems keep the authorities that they trust; the first two as OpenSSL looks. */
export const OS_CERTIFICATE_FILES = [
  process.env.SSL_CERT_FILE,
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
