// The worker's user, made once, when the database is new. It may use one database.
const password = fs.readFileSync("/run/secrets/mongo_password", "utf8").trim();
db.getSiblingDB("sms").createUser({
  user: "sms",
  pwd: password,
  roles: [{ role: "readWrite", db: "sms" }],
});
