/** The paths at which systems have the authorities that they trust; OpenSSL looks at the first two. */
export const OS_CERTIFICATE_FILES = [
  process.env.SSL_CERT_FILE,
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
