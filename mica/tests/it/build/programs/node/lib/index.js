module.exports = (who) => `hello from Node, ${who}`;
