// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package com.google.android.gms.common.api

object CommonStatusCodes {
    const val SUCCESS = 0
}

class Status(val statusCode: Int)
