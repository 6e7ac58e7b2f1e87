// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package android.util

object Base64 {
    const val NO_WRAP = 2

    fun decode(text: String, flags: Int): ByteArray = TODO()
    fun encodeToString(bytes: ByteArray, flags: Int): String = TODO()
}
